//! Cold start: a call to a function that has no replica, from connecting to the first byte of the answer.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::Value;

use crate::http_client::succeed;

const POLL: Duration = Duration::from_millis(2);
const PATIENCE: Duration = Duration::from_secs(30);
/// After the calls, and between the end of the last replica and the next call: tidying up is not what is measured.
const REST: Duration = Duration::from_millis(250);

pub struct Cold {
    pub starts: Vec<Duration>,
    /// The same call when a replica is there.
    pub warm: Vec<Duration>,
}

pub fn measure(platform: SocketAddr, count: usize) -> anyhow::Result<Cold> {
    let call = format!("http://{platform}/function/hello");
    let mut cold = Cold { starts: Vec::new(), warm: Vec::new() };
    // The first one brings in what later ones find in memory.
    for number in 0..=count {
        scale_to_zero(platform)?;
        let start = succeed("GET", &call, "")?.first_byte;
        let warm = succeed("GET", &call, "")?.first_byte;
        thread::sleep(REST);
        if number > 0 {
            cold.starts.push(start);
            cold.warm.push(warm);
        }
    }
    Ok(cold)
}

fn scale_to_zero(platform: SocketAddr) -> anyhow::Result<()> {
    let wish = r#"{"serviceName":"hello","replicas":0}"#;
    succeed("POST", &format!("http://{platform}/system/scale-function/hello"), wish)?;
    let deadline = Instant::now() + PATIENCE;
    while available(platform)? > 0 {
        if Instant::now() > deadline {
            bail!("hello did not scale to zero within {PATIENCE:?}");
        }
        thread::sleep(POLL);
    }
    thread::sleep(REST);
    Ok(())
}

fn available(platform: SocketAddr) -> anyhow::Result<u64> {
    let status = succeed("GET", &format!("http://{platform}/system/function/hello"), "")?;
    let status: Value = serde_json::from_str(&status.body).context("the status of hello is not JSON")?;
    // Left out when it is zero.
    Ok(status["availableReplicas"].as_u64().unwrap_or(0))
}
