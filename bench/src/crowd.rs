//! Good callers beside bad ones: what connections that do nothing, and clients that are slow on purpose, cost the others.

use std::fmt::Write as _;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Context;

use crate::report::{latency, rate, table};
use crate::stats::median;
use crate::wrk::{Load, Sample, Wrk};

const IDLE: usize = 5_000;
/// Each of: slow with the head, slow with the body, and slow to read.
const SLOW: usize = 100;
/// Between two bytes of one that is slow.
const PAUSE: Duration = Duration::from_millis(500);
/// Until what the crowd asked for at first is answered: calls of its own are load, which is measured elsewhere.
const SETTLE: Duration = Duration::from_millis(1500);
/// Answers that a slow reader asked for and does not take.
const UNREAD: usize = 200;

/// The same callers, alone and in the crowd, one after the other in each round.
pub struct Crowded {
    quiet: Vec<Sample>,
    crowded: Vec<Sample>,
}

pub fn measure(
    wrk: &Wrk,
    gateway: SocketAddr,
    url: &str,
    load: Load,
    rounds: usize,
) -> anyhow::Result<Crowded> {
    let mut measured = Crowded { quiet: Vec::new(), crowded: Vec::new() };
    for round in 1..=rounds {
        let quiet = wrk.run(url, load)?;
        let crowd = Crowd::gather(gateway)?;
        thread::sleep(SETTLE);
        let crowded = wrk.run(url, load)?;
        crowd.leave();
        eprintln!("round {round}, alone: {quiet}; in the crowd: {crowded}");
        anyhow::ensure!(quiet.errors + crowded.errors == 0, "some answers were errors");
        measured.quiet.push(quiet);
        measured.crowded.push(crowded);
    }
    Ok(measured)
}

impl Crowded {
    pub fn report(&self, text: &mut String) {
        let _ = write!(
            text,
            "\n## Beside clients that misbehave\n
The gateway alone, 32 connections, alone and then beside {IDLE} connections that send nothing, {SLOW} that send a head and
{SLOW} that send a body a byte at a time, and {SLOW} that asked for {UNREAD} answers each and read none.\n\n"
        );
        let p99 = |samples: &[Sample]| median(samples.iter().map(|sample| sample.p99_us));
        let line = |name: &str, samples: &[Sample]| {
            vec![
                name.to_owned(),
                format!("{:.0}", rate(samples)),
                latency(samples.iter().map(|sample| sample.p50_us)),
                latency(samples.iter().map(|sample| sample.p99_us)),
                format!("{:.2}", p99(samples) / p99(&self.quiet)),
            ]
        };
        let lines = [line("alone", &self.quiet), line("in the crowd", &self.crowded)];
        table(text, &["callers", "calls/s", "p50", "p99", "p99 × alone"], lines);
    }
}

struct Crowd {
    idle: Vec<TcpStream>,
    done: Arc<AtomicBool>,
    slow: JoinHandle<()>,
}

impl Crowd {
    fn gather(gateway: SocketAddr) -> anyhow::Result<Self> {
        let connect = || TcpStream::connect(gateway).context("a connection of the crowd is refused");
        let idle = (0..IDLE).map(|_| connect()).collect::<anyhow::Result<Vec<_>>>()?;
        let mut slow = Vec::new();
        for _ in 0..SLOW {
            slow.push(begin(connect()?, "POST /function/hello HTTP/1.1\r\nhost: g\r\nx: ")?);
            slow.push(begin(
                connect()?,
                "POST /function/hello HTTP/1.1\r\nhost: g\r\ncontent-length: 100000\r\n\r\n",
            )?);
            let mut reader = connect()?;
            reader.set_nonblocking(true)?;
            let asked =
                "POST /function/hello HTTP/1.1\r\nhost: g\r\ncontent-length: 1\r\n\r\nx".repeat(UNREAD);
            // What does not fit is not sent: the answers to the rest are never read either.
            let _ = reader.write(asked.as_bytes());
            slow.push(reader);
        }
        let done = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&done);
        let slow = thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                // Those that the gateway has let go stay gone.
                slow.retain_mut(|stream| stream.write_all(b"x").is_ok());
                thread::sleep(PAUSE);
            }
        });
        Ok(Self { idle, done, slow })
    }

    fn leave(self) {
        self.done.store(true, Ordering::Relaxed);
        drop(self.idle);
        let _ = self.slow.join();
        // The gateway tidies up after them.
        thread::sleep(PAUSE);
    }
}

fn begin(mut stream: TcpStream, text: &str) -> anyhow::Result<TcpStream> {
    stream.set_nodelay(true)?;
    stream.write_all(text.as_bytes())?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}
