//! What the functions wrote: a ring for each, and a way to wait for more.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use futures_util::stream;
use http::Response;
use jiff::Timestamp;
use model::{FunctionId, LogLine, LogQuery};
use tokio::sync::watch;

use crate::echo::wished_line;
use crate::{Body, Call, Invoke, InvokeError, LogStream};

/// Most lines that are kept of one function; a line is a header of a request, and so has its bound.
const LINES_MAX: usize = 1000;

/// The log of one function; it ends with its owner.
pub(super) struct Log(Arc<Ring>);

struct Ring {
    function: FunctionId,
    lines: Mutex<VecDeque<LogLine>>,
    /// How many lines were ever written.
    written: watch::Sender<usize>,
}

/// A replica that logs what its calls ask for.
pub(super) struct Logging {
    instance: String,
    /// Not the log itself: one that is deleted ends, whoever still answers.
    ring: std::sync::Weak<Ring>,
    handler: Arc<dyn Invoke>,
}

impl Log {
    pub fn new(function: FunctionId) -> Self {
        Self(Arc::new(Ring { function, lines: Mutex::default(), written: watch::Sender::new(0) }))
    }

    pub fn of(&self, instance: String, handler: Arc<dyn Invoke>) -> Logging {
        Logging { instance, ring: Arc::downgrade(&self.0), handler }
    }

    pub fn read(&self, query: LogQuery) -> LogStream {
        let seen = self.0.written.subscribe();
        let asked =
            |line: &LogLine| query.instance.as_ref().is_none_or(|instance| *instance == line.instance);
        let lines = self.0.lines();
        // What is written while this is read is told by the count.
        let next = *seen.borrow();
        let since = |line: &LogLine| query.since.is_none_or(|since| line.timestamp >= since);
        let mut past: VecDeque<LogLine> =
            lines.iter().filter(|line| asked(line) && since(line)).cloned().collect();
        drop(lines);
        if let Some(tail) = query.tail {
            past.drain(..past.len().saturating_sub(tail));
        }
        let reader = Reader { past, next, seen, ring: Arc::downgrade(&self.0), query };
        Box::pin(stream::unfold(reader, |mut reader| async {
            reader.line().await.map(|line| (Ok(line), reader))
        }))
    }
}

/// Where one reader is.
struct Reader {
    past: VecDeque<LogLine>,
    /// The first line that is not in `past`, counted from the first that was ever written.
    next: usize,
    seen: watch::Receiver<usize>,
    ring: std::sync::Weak<Ring>,
    query: LogQuery,
}

impl Reader {
    async fn line(&mut self) -> Option<LogLine> {
        loop {
            if let Some(line) = self.past.pop_front() {
                return Some(line);
            }
            if !self.query.follow {
                return None;
            }
            let next = self.next;
            // Fails when the log is gone.
            self.seen.wait_for(|written| *written > next).await.ok()?;
            let ring = self.ring.upgrade()?;
            let lines = ring.lines();
            let written = *ring.written.borrow();
            let skipped = lines.len().saturating_sub(written - next);
            let asked =
                |line: &&LogLine| self.query.instance.as_ref().is_none_or(|one| *one == line.instance);
            self.past.extend(lines.iter().skip(skipped).filter(asked).cloned());
            self.next = written;
        }
    }
}

impl Ring {
    fn lines(&self) -> MutexGuard<'_, VecDeque<LogLine>> {
        self.lines.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn write(&self, instance: &str, text: &str) {
        let mut lines = self.lines();
        if lines.len() == LINES_MAX {
            lines.pop_front();
        }
        lines.push_back(LogLine {
            function: self.function.clone(),
            instance: instance.to_owned(),
            timestamp: Timestamp::now(),
            text: text.to_owned(),
        });
        self.written.send_modify(|written| *written += 1);
    }
}

impl Invoke for Logging {
    /// Written out, so that the handler's future is the only one.
    fn invoke<'a, 'async_trait>(
        &'a self,
        call: Call,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<Response<Body>, InvokeError>> + Send + 'async_trait>>
    where
        'a: 'async_trait,
        Self: 'async_trait,
    {
        if let Some(line) = wished_line(call.request.headers())
            && let Some(ring) = self.ring.upgrade()
        {
            ring.write(&self.instance, line);
        }
        self.handler.invoke(call)
    }
}
