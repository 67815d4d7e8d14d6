//! Bodies of other sizes, beside nginx.

use std::fmt::Write;

use crate::report::{rate, table};
use crate::rig::{DIRECT, GATEWAY, NGINX, Rig};
use crate::wrk::{Load, Sample};

const SIZES: [(&str, usize); 2] = [("1 KiB", 1024), ("1 MiB", 1024 * 1024)];
const WAYS: [usize; 3] = [DIRECT, NGINX, GATEWAY];

/// By size, then by way, then by round.
pub struct Bodies(Vec<Vec<Vec<Sample>>>);

pub fn measure(rig: &Rig, load: Load, rounds: usize) -> anyhow::Result<Bodies> {
    let subjects = rig.subjects();
    let mut samples = vec![vec![Vec::new(); WAYS.len()]; SIZES.len()];
    for round in 1..=rounds {
        for ((name, bytes), samples) in SIZES.iter().zip(&mut samples) {
            for (way, samples) in WAYS.iter().zip(samples) {
                let sample = rig.wrk.run_bytes(*bytes, &subjects[*way].url, load)?;
                eprintln!("round {round}, {name}, {}: {sample}", subjects[*way].name);
                anyhow::ensure!(sample.errors == 0, "{} answers were errors", sample.errors);
                samples.push(sample);
            }
        }
    }
    Ok(Bodies(samples))
}

impl Bodies {
    pub fn report(&self, text: &mut String) {
        let _ = write!(
            text,
            "\n## Bodies\n
As above at 32 connections, with a body of that size, which the answer repeats; nginx does not buffer requests.\n\n"
        );
        let lines = SIZES.iter().zip(&self.0).map(|((name, _), samples)| {
            let [direct, nginx, gateway] = [0, 1, 2].map(|way| rate(&samples[way]));
            vec![
                (*name).to_owned(),
                format!("{direct:.0}"),
                format!("{nginx:.0}"),
                format!("{gateway:.0}"),
                format!("{:.2}", gateway / nginx),
            ]
        });
        table(text, &["body", "direct, calls/s", "nginx, calls/s", "gateway, calls/s", "× nginx"], lines);
    }
}
