//! The access log: a line for each call and each management request, written when its answer is through.
//!
//! Lines are made and written by a thread of their own. No call waits for it: what it cannot take in time is dropped,
//! and counted.

mod line;

use std::fmt;
use std::io::{self, BufWriter, Write};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::exchange::Exchange;
use crate::metrics::{Collect, Collected};

/// Requests that have ended and are not written yet: some megabytes, a fraction of a second of a busy platform.
const QUEUE_MAX: usize = 8192;
/// How often a full queue is looked at by who wants it flushed.
const FLUSH_PAUSE: Duration = Duration::from_millis(5);
const BUFFER_BYTES: usize = 64 * 1024;

/// Writes lines; clones write to the same place.
#[derive(Clone)]
pub struct AccessLog {
    queue: SyncSender<Entry>,
    counts: Arc<Counts>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessFormat {
    /// For eyes: the time, the request, the status, then `name=value`.
    Text,
    /// An object on each line.
    Json,
}

#[derive(Default)]
struct Counts {
    written: AtomicU64,
    dropped: AtomicU64,
}

enum Entry {
    Exchange(Arc<Exchange>),
    /// Everything before it is to be written out, and whoever waits to be told.
    Flush(SyncSender<()>),
}

impl AccessLog {
    /// Begins the thread that writes to `out`.
    ///
    /// # Errors
    ///
    /// When the system gives no thread.
    pub fn start(format: AccessFormat, out: impl Write + Send + 'static) -> io::Result<Self> {
        let (queue, entries) = sync_channel(QUEUE_MAX);
        let counts = Arc::new(Counts::default());
        let counted = Arc::clone(&counts);
        let out = BufWriter::with_capacity(BUFFER_BYTES, out);
        thread::Builder::new()
            .name("access-log".into())
            .spawn(move || Writer { format, out, counts: counted, failing: false }.run(&entries))?;
        Ok(Self { queue, counts })
    }

    pub(crate) fn write(&self, exchange: Arc<Exchange>) {
        if self.queue.try_send(Entry::Exchange(exchange)).is_err() {
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Until all that has ended is written, or `patience` is over. Blocks its thread.
    pub fn flush(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        let (told, flushed) = sync_channel(1);
        let mut entry = Entry::Flush(told);
        // A queue that is full may be one that is never emptied.
        while let Err(TrySendError::Full(back)) = self.queue.try_send(entry) {
            if Instant::now() >= deadline {
                return tracing::warn!("the end of the access log is not written: its reader is too slow");
            }
            entry = back;
            thread::sleep(FLUSH_PAUSE);
        }
        if flushed.recv_timeout(deadline.saturating_duration_since(Instant::now())).is_err() {
            tracing::warn!("the end of the access log is not written: its reader is too slow");
        }
    }
}

impl Collect for AccessLog {
    fn collect(&self, page: &mut Collected<'_>) {
        let Counts { written, dropped } = &*self.counts;
        page.counter("minke_access_log_lines_total", "Lines written.", written.load(Ordering::Relaxed));
        page.counter(
            "minke_access_log_dropped_total",
            "Lines that were not written: too many at once, or the place that they go to failed.",
            dropped.load(Ordering::Relaxed),
        );
    }
}

impl fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessLog").finish_non_exhaustive()
    }
}

impl FromStr for AccessFormat {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(()),
        }
    }
}

struct Writer<W: Write> {
    format: AccessFormat,
    out: BufWriter<W>,
    counts: Arc<Counts>,
    /// It is told once that the place for lines fails, and once that it no longer does.
    failing: bool,
}

impl<W: Write> Writer<W> {
    /// Until nobody is left who could write.
    fn run(mut self, entries: &Receiver<Entry>) {
        let mut line = Vec::new();
        loop {
            // What is written is seen at once when there is no more to come.
            let entry = match entries.try_recv() {
                Err(TryRecvError::Empty) => {
                    self.flush();
                    entries.recv().ok()
                }
                entry => entry.ok(),
            };
            match entry {
                Some(Entry::Exchange(exchange)) => {
                    line.clear();
                    line::write(self.format, &exchange, &mut line);
                    let written = self.out.write_all(&line);
                    self.settle(written, 1);
                }
                Some(Entry::Flush(told)) => {
                    self.flush();
                    let _ = told.send(());
                }
                None => return self.flush(),
            }
        }
    }

    fn flush(&mut self) {
        let flushed = self.out.flush();
        self.settle(flushed, 0);
    }

    fn settle(&mut self, outcome: io::Result<()>, lines: u64) {
        match outcome {
            Ok(()) => drop(self.counts.written.fetch_add(lines, Ordering::Relaxed)),
            Err(_) => drop(self.counts.dropped.fetch_add(lines, Ordering::Relaxed)),
        }
        match (&outcome, self.failing) {
            (Err(error), false) => {
                tracing::warn!(%error, "the access log cannot be written; lines are dropped")
            }
            (Ok(()), true) if lines > 0 => tracing::info!("the access log is written again"),
            _ => {}
        }
        self.failing = outcome.is_err() || self.failing && lines == 0;
    }
}
