//! The load generator: wrk, told to report in numbers.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};

/// Latencies are in microseconds.
const SCRIPT: &str = r#"
wrk.method = "POST"
wrk.body = BODY
done = function(summary, latency, requests)
    local e = summary.errors
    io.write(string.format("sample %d %d %d %d %d\n", summary.requests, summary.duration,
        latency:percentile(50), latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout))
end
"#;

pub struct Wrk {
    folder: PathBuf,
}

#[derive(Debug, Clone, Copy)]
pub struct Load {
    pub connections: u32,
    pub duration: Duration,
}

#[derive(Debug, Clone, Copy)]
pub struct Sample {
    pub per_second: f64,
    pub p50_us: f64,
    pub p99_us: f64,
    pub errors: u64,
}

impl Wrk {
    /// Scripts go to the folder.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// POSTs of "hello".
    pub fn run(&self, url: &str, load: Load) -> anyhow::Result<Sample> {
        self.run_with("\"hello\"", url, load)
    }

    /// POSTs of so many bytes.
    pub fn run_bytes(&self, bytes: usize, url: &str, load: Load) -> anyhow::Result<Sample> {
        self.run_with(&format!("string.rep(\"x\", {bytes})"), url, load)
    }

    fn run_with(&self, body: &str, url: &str, load: Load) -> anyhow::Result<Sample> {
        let Load { connections, duration } = load;
        let script = self.folder.join("post.lua");
        fs::write(&script, SCRIPT.replace("BODY", body))
            .with_context(|| format!("failed to write {}", script.display()))?;
        let mut wrk = Command::new("wrk");
        wrk.args(["--latency", "--timeout", "5s", "--script"]).arg(&script);
        wrk.args([format!("-c{connections}"), format!("-t{}", connections.min(2))]);
        wrk.args([format!("-d{}s", duration.as_secs()), url.to_owned()]);
        let output = wrk.stdin(Stdio::null()).output().context("failed to run wrk")?;
        let text = String::from_utf8_lossy(&output.stdout);
        match text.lines().find_map(parse) {
            Some(sample) => Ok(sample),
            None => bail!("wrk did not measure {url}: {text}{}", String::from_utf8_lossy(&output.stderr)),
        }
    }
}

fn parse(line: &str) -> Option<Sample> {
    let numbers: Vec<f64> =
        line.strip_prefix("sample ")?.split(' ').map(|n| n.parse().ok()).collect::<Option<_>>()?;
    let [requests, microseconds, p50_us, p99_us, errors] = numbers[..] else { return None };
    Some(Sample { per_second: requests / (microseconds / 1e6), p50_us, p99_us, errors: errors as u64 })
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0}/s, p50 {:.0} µs, p99 {:.0} µs", self.per_second, self.p50_us, self.p99_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read() {
        let sample = parse("sample 30000 3000000 90 250 2").unwrap();
        assert_eq!(
            (sample.per_second, sample.p50_us, sample.p99_us, sample.errors),
            (10_000.0, 90.0, 250.0, 2)
        );
        assert!(parse("Requests/sec: 10").is_none());
        assert!(parse("sample 1 2 3").is_none());
    }
}
