//! Whether a call costs more where more functions are deployed.

use std::fmt::Write;

use crate::report::{rate, table};
use crate::rig::Rig;
use crate::wrk::{Load, Sample};

/// By the number of functions, then by round.
pub struct Functions(Vec<(usize, Vec<Sample>)>);

pub fn measure(rig: &Rig, load: Load, rounds: usize) -> anyhow::Result<Functions> {
    let subjects = rig.by_functions();
    let mut samples: Vec<_> = subjects.iter().map(|(functions, _)| (*functions, Vec::new())).collect();
    for round in 1..=rounds {
        for ((functions, url), (_, samples)) in subjects.iter().zip(&mut samples) {
            let sample = rig.wrk.run(url, load)?;
            eprintln!("round {round}, {functions} functions: {sample}");
            anyhow::ensure!(sample.errors == 0, "{} answers were errors", sample.errors);
            samples.push(sample);
        }
    }
    Ok(Functions(samples))
}

impl Functions {
    pub fn report(&self, text: &mut String) {
        let _ = write!(
            text,
            "\n## Functions deployed\n\nThe gateway alone, 32 connections, one of them is called.\n\n"
        );
        let one = rate(&self.0[0].1);
        let lines = self.0.iter().map(|(functions, samples)| {
            vec![
                functions.to_string(),
                format!("{:.0}", rate(samples)),
                format!("{:.2}", rate(samples) / one),
            ]
        });
        table(text, &["functions", "calls/s", "× with one"], lines);
    }
}
