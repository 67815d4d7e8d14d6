//! The body of a request as its client sends it, and what a client is held to: a size, and to keep sending.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};

use super::BoxError;

/// Bytes that come at once, or hardly later.
const SHORT_MAX: u64 = 64 * 1024;
/// Less than this between two looks is a trickle: it would hold a replica for ever.
const MOVING_MIN: u64 = 16 * 1024;

/// As long as no process lives; the largest duration there is cannot be added to a time.
const FOREVER: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// What hyper's server receives, with bounds. A body that is there when it is asked for costs neither a timer nor an
/// allocation.
#[derive(Debug)]
pub struct Received {
    incoming: Incoming,
    max: u64,
    left: u64,
    patience: Duration,
    /// Made when the body is waited for in earnest, and kept for the next wait.
    deadline: Option<Pin<Box<Sleep>>>,
    waiting: bool,
    progress: Option<Arc<AtomicU64>>,
}

/// Whether a body comes, for whoever waits for the answer to it.
#[derive(Debug)]
pub struct Progress {
    received: Arc<AtomicU64>,
    seen: u64,
}

/// Why the rest of a client's body is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyRefused {
    #[error("the body is larger than {0} bytes")]
    TooLarge(u64),
    #[error("nothing of the body came for {0:?}")]
    Stalled(Duration),
}

impl Received {
    /// Fails when nothing comes for as long as `patience` while it is asked for.
    pub fn new(incoming: Incoming, patience: Duration) -> Self {
        Self {
            incoming,
            max: u64::MAX,
            left: u64::MAX,
            patience,
            deadline: None,
            waiting: false,
            progress: None,
        }
    }

    /// None where it is too short to take its time.
    pub(super) fn watch(&mut self) -> Option<Progress> {
        if self.size_hint().upper().is_some_and(|most| most <= SHORT_MAX) {
            return None;
        }
        let received = Arc::clone(self.progress.get_or_insert_default());
        Some(Progress { received, seen: 0 })
    }

    /// Lets it bring nothing for as long as it likes.
    pub(super) fn unhurried(&mut self) {
        self.patience = FOREVER;
        (self.deadline, self.waiting) = (None, false);
    }

    pub(super) fn limit(&mut self, max: u64) {
        (self.max, self.left) = (max, max);
    }

    fn received(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, BoxError> {
        self.waiting = false;
        let size = frame.data_ref().map_or(0, |data| data.len() as u64);
        if let Some(progress) = &self.progress {
            progress.fetch_add(size, Ordering::Relaxed);
        }
        self.left = self.left.checked_sub(size).ok_or(BodyRefused::TooLarge(self.max))?;
        Ok(frame)
    }

    /// Ready when it is too long already. The first wait only asks again, on the next turn of the task: what is in the
    /// connection's buffer is here by then.
    fn poll_overdue(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let begins = !std::mem::replace(&mut self.waiting, true);
        match &mut self.deadline {
            None if begins => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            None => {
                let deadline = Box::pin(sleep_until(Instant::now() + self.patience));
                self.deadline.insert(deadline).as_mut().poll(cx)
            }
            Some(deadline) => {
                if begins {
                    deadline.as_mut().reset(Instant::now() + self.patience);
                }
                deadline.as_mut().poll(cx)
            }
        }
    }
}

impl Progress {
    /// Whether more than a trickle came since this was asked before.
    pub fn is_moving(&mut self) -> bool {
        let received = self.received.load(Ordering::Relaxed);
        received - std::mem::replace(&mut self.seen, received) >= MOVING_MIN
    }
}

impl http_body::Body for Received {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let body = self.get_mut();
        match Pin::new(&mut body.incoming).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(Some(body.received(frame))),
            Poll::Ready(other) => Poll::Ready(other.map(|result| result.map_err(Into::into))),
            Poll::Pending => {
                let stalled = BodyRefused::Stalled(body.patience);
                body.poll_overdue(cx).map(|()| Some(Err(stalled.into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
