//! From the streams of a replica to the log of its function.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::sync::Semaphore;

use super::chunk::{Chunk, Cutter};
use super::store::FunctionLog;

/// Taken from a stream at once.
const READ_BYTES: usize = 32 * 1024;

/// The last line of a replica that says anything, to tell why it does not come up.
#[derive(Debug, Clone, Default)]
pub struct LastLine(Arc<Mutex<Option<String>>>);

/// One replica's way into the log.
#[derive(Clone)]
pub struct Capture {
    pub log: Arc<FunctionLog>,
    pub replica: String,
    pub last_line: LastLine,
    /// Writes to all logs at once.
    pub writes: Arc<Semaphore>,
}

/// The two ends of a stream of a replica: ours, and what its container is given.
pub fn stream() -> io::Result<(pipe::Receiver, OwnedFd)> {
    let (ours, theirs) = io::pipe()?;
    Ok((pipe::Receiver::from_owned_fd(ours.into())?, theirs.into()))
}

impl Capture {
    /// Reads until every process of the replica has closed the stream. A function that writes faster than the log takes
    /// it waits for that.
    pub async fn follow(self, stream: &'static str, mut from: pipe::Receiver) {
        let mut cutter = Cutter::default();
        loop {
            // Nothing is held for a stream that is silent.
            if from.readable().await.is_err() {
                break;
            }
            let mut bytes = Vec::with_capacity(READ_BYTES);
            match from.read_buf(&mut bytes).await {
                Ok(0) | Err(_) => break,
                Ok(_) => self.take(stream, cutter.cut(&bytes)).await,
            }
        }
        self.take(stream, cutter.rest()).await;
    }

    async fn take(&self, stream: &'static str, chunk: Chunk) {
        if chunk.is_empty() {
            return;
        }
        self.last_line.note(&chunk);
        if tracing::enabled!(tracing::Level::DEBUG) {
            for line in chunk.lines() {
                let (function, text) = (&self.log.function, String::from_utf8_lossy(line));
                tracing::debug!(%function, replica = self.replica, stream, %text, "function wrote");
            }
        }
        let Ok(_turn) = self.writes.acquire().await else { return };
        let (log, replica) = (Arc::clone(&self.log), self.replica.clone());
        let written = tokio::task::spawn_blocking(move || log.append(&replica, &chunk)).await;
        drop(_turn);
        if let Some(until) = self.log.pace(written.unwrap_or_default()) {
            tokio::time::sleep_until(until.into()).await;
        }
    }
}

impl LastLine {
    pub fn get(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, chunk: &Chunk) {
        let last = chunk.lines().rfind(|line| !line.trim_ascii().is_empty());
        if let Some(last) = last {
            let text = String::from_utf8_lossy(last.trim_ascii_end()).into_owned();
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
        }
    }
}
