//! What connections cost that are kept and do nothing.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::Context;

use crate::report::table;
use crate::rig::Rig;

const CONNECTIONS: usize = 10_000;

/// Resident, before and with the connections, KiB.
pub struct Idle {
    before: u64,
    with: u64,
}

/// Each connection has carried one call.
pub fn measure(rig: &Rig) -> anyhow::Result<Idle> {
    let before = rig.gateway_memory().kib;
    let request = b"POST /function/hello HTTP/1.1\r\nhost: g\r\ncontent-length: 5\r\n\r\nhello";
    let mut idle = Vec::with_capacity(CONNECTIONS);
    let mut answer = [0; 4096];
    for _ in 0..CONNECTIONS {
        let mut stream = TcpStream::connect(rig.gateway()).context("an idle connection is refused")?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.write_all(request)?;
        anyhow::ensure!(stream.read(&mut answer)? > 0, "a call is not answered");
        idle.push(stream);
    }
    let with = rig.gateway_memory().kib;
    eprintln!("{CONNECTIONS} idle connections: {before} KiB before, {with} KiB with them");
    Ok(Idle { before, with })
}

impl Idle {
    pub fn report(&self, text: &mut String) {
        let _ = write!(
            text,
            "\n## Idle connections\n\nResident memory of the gateway alone; each of the connections has carried one call.\n\n"
        );
        let mib = |kib: u64| format!("{:.1} MiB", kib as f64 / 1024.0);
        let each = (self.with.saturating_sub(self.before)) as f64 / CONNECTIONS as f64;
        let line = vec![CONNECTIONS.to_string(), mib(self.before), mib(self.with), format!("{each:.1} KiB")];
        table(text, &["connections", "before", "with them", "each"], [line]);
    }
}
