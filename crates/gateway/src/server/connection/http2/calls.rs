//! The calls of one connection: whether there are any, and whether their client takes what is sent to it.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::rt::Executor;
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use crate::body::{Answer, BrokenOff};

/// Calls that a client may take back within a second, after they were begun: twice as many as it may have at once. Each
/// costs it two small frames, and the function a whole call.
const GIVEN_UP_MAX: u32 = 512;
const GIVEN_UP_WITHIN: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(super) struct Calls {
    under_way: AtomicUsize,
    begun: AtomicUsize,
    given_up: Mutex<GivenUp>,
    abused: Notify,
    /// How far the call is whose stream is to be made next.
    latest: Mutex<Option<Arc<Progress>>>,
}

/// How many calls were taken back since when.
#[derive(Default)]
struct GivenUp {
    since: Option<Instant>,
    count: u32,
}

/// One call. It ends when its answer does.
pub(super) struct Call {
    calls: Arc<Calls>,
    progress: Arc<Progress>,
    answered: bool,
}

#[derive(Default)]
struct Progress {
    frames: AtomicUsize,
    /// A frame was handed over, and no other is asked for: it waits for the client.
    held: AtomicBool,
}

impl Calls {
    pub fn begin(self: &Arc<Self>) -> Call {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        self.begun.fetch_add(1, Ordering::Relaxed);
        let progress = Arc::<Progress>::default();
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&progress));
        Call { calls: Arc::clone(self), progress, answered: false }
    }

    pub fn under_way(&self) -> usize {
        self.under_way.load(Ordering::Relaxed)
    }

    /// Until the client has taken back more calls than it may.
    pub async fn abused(&self) {
        self.abused.notified().await;
    }

    fn give_up(&self) {
        let mut given_up = self.given_up.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if given_up.since.is_none_or(|since| now - since > GIVEN_UP_WITHIN) {
            *given_up = GivenUp { since: Some(now), count: 0 };
        }
        given_up.count += 1;
        if given_up.count > GIVEN_UP_MAX {
            self.abused.notify_one();
        }
    }

    /// Until there was no call for `period`, or twice as long.
    pub async fn cease(&self, period: Duration) {
        loop {
            let before = self.begun.load(Ordering::Relaxed);
            sleep(period).await;
            if self.under_way() == 0 && self.begun.load(Ordering::Relaxed) == before {
                return;
            }
        }
    }
}

impl Call {
    pub fn carry(self, body: Answer) -> Carried {
        Carried { body, call: self }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.calls.under_way.fetch_sub(1, Ordering::Relaxed);
        if !self.answered {
            self.calls.give_up();
        }
    }
}

/// An answer that tells how far it is.
pub(super) struct Carried {
    body: Answer,
    call: Call,
}

impl Body for Carried {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let carried = self.get_mut();
        let polled = Pin::new(&mut carried.body).poll_frame(cx);
        let progress = &carried.call.progress;
        progress.held.store(polled.is_ready(), Ordering::Relaxed);
        if polled.is_ready() {
            progress.frames.fetch_add(1, Ordering::Relaxed);
        }
        if let Poll::Ready(ended) = &polled
            && !matches!(ended, Some(Ok(frame)) if frame.is_data())
        {
            carried.call.answered = true;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Carried {
    fn drop(&mut self) {
        self.call.answered |= self.body.is_end_stream();
    }
}

/// Runs the streams of a connection. When it is gone, each of them is told, and ends.
#[derive(Clone)]
pub(super) struct Streams {
    calls: Arc<Calls>,
    write_timeout: Duration,
}

impl Streams {
    pub fn new(calls: Arc<Calls>, write_timeout: Duration) -> Self {
        Self { calls, write_timeout }
    }
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    /// The stream of the call that has just begun: the server asks its service, and then for this, one by one.
    fn execute(&self, stream: F) {
        let progress = self.calls.latest.lock().unwrap_or_else(PoisonError::into_inner).take();
        tokio::spawn(unstalled(stream, progress.unwrap_or_default(), self.write_timeout));
    }
}

/// Gives a stream up whose client took nothing for the write timeout, although the connection is well: a client may
/// leave the window of a stream shut, and what waits holds a place among the calls.
async fn unstalled(stream: impl Future<Output = ()>, progress: Arc<Progress>, write_timeout: Duration) {
    let mut stream = pin!(stream);
    let mut deadline: Option<Pin<Box<Sleep>>> = None;
    let mut seen = 0;
    poll_fn(|cx| {
        if stream.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if !progress.held.load(Ordering::Relaxed) {
            deadline = None;
            return Poll::Pending;
        }
        let end = Instant::now() + write_timeout;
        let frames = progress.frames.load(Ordering::Relaxed);
        let waiting = deadline.get_or_insert_with(|| Box::pin(sleep_until(end)));
        if std::mem::replace(&mut seen, frames) != frames {
            waiting.as_mut().reset(end);
        }
        waiting.as_mut().poll(cx)
    })
    .await
}
