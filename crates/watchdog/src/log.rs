//! What fwatchdog and its function say: to stdout and stderr, through one writer thread.
//!
//! A reader of our output that stands still must not stand the calls still: the event loop never writes by itself.
//! The function's lines wait for room; the watchdog's own are dropped and counted when there is none.

mod access;
mod clock;
mod relay;
mod writer;

use std::io::Write;
use std::sync::Arc;

use tokio::net::unix::pipe::Receiver;

use crate::config::LogConfig;

pub use access::Access;
use writer::Writer;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
}

#[derive(Clone)]
pub struct Log {
    writer: Arc<Writer>,
    prefix: bool,
    line_max: usize,
    pub call_id: bool,
}

impl Log {
    pub fn start(config: &LogConfig) -> Self {
        let (prefix, line_max, call_id) = (config.prefix, config.line_max, config.call_id);
        Self { writer: Writer::start(), prefix, line_max, call_id }
    }

    /// One line of the watchdog's own.
    pub fn note(&self, message: impl AsRef<str>) {
        self.writer.offer(Stream::Stderr, |line| {
            clock::stamp(line);
            line.extend_from_slice(message.as_ref().as_bytes());
            line.push(b'\n');
        });
    }

    /// Passes a pipe of the function on, line by line, until it is closed.
    pub async fn relay(self, pipe: Receiver, stream: Stream) {
        relay::run(&self, pipe, stream).await;
    }

    /// Writes what is left, for at most a second.
    pub fn finish(&self) {
        self.writer.finish();
    }
}

/// A last word, written at once; for when there is no event loop.
pub fn fatal(message: &str) {
    let mut line = Vec::new();
    clock::stamp(&mut line);
    line.extend_from_slice(message.as_bytes());
    line.push(b'\n');
    // Nobody is left to tell when stderr itself is gone.
    let _ = std::io::stderr().write_all(&line);
}
