//! The tables, as Markdown.

use std::fmt::Write;
use std::time::Duration;

use crate::cold::Cold;
use crate::machine::Resident;
use crate::rig::{DIRECT, GATEWAY, NAMES, NGINX, NGINX_WATCHDOG, PLATFORM, WATCHDOG};
use crate::stats::{median, range};
use crate::wrk::Sample;
use crate::{COLD_STARTS, CONNECTIONS};

pub struct Results {
    pub machine: Vec<(&'static str, String)>,
    pub seconds: u64,
    /// By subject, load, and round.
    pub samples: Vec<Vec<Vec<Sample>>>,
    pub memory: Vec<Resident>,
    pub cold: Cold,
}

pub fn markdown(results: &Results) -> String {
    let mut text =
        String::from("# Benchmark\n\nWritten by `make bench`; the numbers of one run on one machine.\n\n");
    table(
        &mut text,
        &["", ""],
        results.machine.iter().map(|(name, value)| vec![(*name).into(), value.clone()]),
    );
    calls(&mut text, results);
    memory(&mut text, &results.memory);
    cold(&mut text, &results.cold);
    text
}

fn calls(text: &mut String, results: &Results) {
    let rounds = results.samples[DIRECT][0].len();
    let _ = write!(
        text,
        "\n## Calls\n
`POST` of \"hello\" by wrk, {} s a measurement, medians of {rounds} rounds; a round measures every line once.
The first three lines end at the very same process, a small server on loopback: what is compared is nginx and the
gateway's code, and nothing else. The last three end at the same programs, a server behind `fwatchdog`: natively for
nginx, and as users run it for Minke, in a container with its own network namespace.\n\n",
        results.seconds
    );
    let mut head = vec![String::from("way")];
    for connections in CONNECTIONS {
        let noun = if connections == 1 { "connection" } else { "connections" };
        head.push(format!("{connections} {noun}, calls/s"));
        head.extend(["p50", "p99", "× nginx"].map(String::from));
    }
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    let line = |(subject, name): (usize, &&str)| {
        let mut line = vec![(*name).to_owned()];
        for (load, samples) in results.samples[subject].iter().enumerate() {
            let nginx = &results.samples[beside(subject)][load];
            line.push(format!("{:.0}", rate(samples)));
            line.push(latency(samples.iter().map(|sample| sample.p50_us)));
            line.push(latency(samples.iter().map(|sample| sample.p99_us)));
            line.push(format!("{:.2}", rate(samples) / rate(nginx)));
        }
        line
    };
    table(text, &head, NAMES.iter().enumerate().map(line));
}

/// The line of nginx that a line is compared with.
fn beside(subject: usize) -> usize {
    match subject {
        WATCHDOG | NGINX_WATCHDOG | PLATFORM => NGINX_WATCHDOG,
        DIRECT | NGINX | GATEWAY => NGINX,
        _ => unreachable!("there are six subjects"),
    }
}

fn memory(text: &mut String, memory: &[Resident]) {
    text.push_str("\n## Memory\n\nResident (VmRSS), summed over the processes, right after the load.\n\n");
    let line = |resident: &Resident| {
        let mib = resident.kib as f64 / 1024.0;
        vec![resident.name.to_owned(), resident.processes.to_string(), format!("{mib:.1} MiB")]
    };
    table(text, &["what", "processes", "resident"], memory.iter().map(line));
}

fn cold(text: &mut String, cold: &Cold) {
    let _ = write!(
        text,
        "\n## Cold start\n
`hello` is scaled to 0; once no replica is left, one `GET /function/hello` is timed from connecting to the first byte
of the answer: container created, watchdog and server started, call answered. {COLD_STARTS} times.\n\n"
    );
    let line = |name: &str, times: &[Duration]| {
        let ms = || times.iter().map(|time| time.as_secs_f64() * 1e3);
        let (least, most) = range(ms());
        vec![
            name.to_owned(),
            format!("{:.1} ms", median(ms())),
            format!("{least:.1} ms"),
            format!("{most:.1} ms"),
        ]
    };
    let lines =
        [line("from 0 replicas", &cold.starts), line("the next call, on a new connection", &cold.warm)];
    table(text, &["call", "median", "least", "most"], lines);
}

pub fn rate(samples: &[Sample]) -> f64 {
    median(samples.iter().map(|sample| sample.per_second))
}

pub fn latency(us: impl IntoIterator<Item = f64>) -> String {
    match median(us) {
        us if us < 1000.0 => format!("{us:.0} µs"),
        us => format!("{:.2} ms", us / 1e3),
    }
}

pub fn table(text: &mut String, head: &[&str], lines: impl IntoIterator<Item = Vec<String>>) {
    let _ = writeln!(text, "| {} |", head.join(" | "));
    // Names to the left, numbers to the right.
    let rule = std::iter::once("---").chain(head.iter().skip(1).map(|_| "---:"));
    let _ = writeln!(text, "|{}|", rule.collect::<Vec<_>>().join("|"));
    for line in lines {
        let _ = writeln!(text, "| {} |", line.join(" | "));
    }
}
