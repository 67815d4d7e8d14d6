//! The body of an answer, with what must live as long as it streams.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use provider::{Body, BoxError, InFlight, Progress};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::invoke::Permit;
use crate::metrics::Observation;

/// Ends its call when it ends, fails, or is dropped because the client went away.
pub(crate) struct Answer {
    body: Body,
    streaming: Option<Streaming>,
    /// Told on the next poll, so that what came before it is sent first: the server drops what it still holds.
    broken: Option<BrokenOff>,
}

/// Why an answer was cut off after its head.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BrokenOff {
    #[error("the function's answer broke off")]
    Function(#[source] BoxError),
    #[error("the function sent nothing for {0:?}")]
    Silence(Duration),
}

/// What a call holds until its answer is through.
struct Streaming {
    idle_timeout: Duration,
    /// A function that is sent something long may have nothing to say meanwhile.
    upload: Option<Progress>,
    /// Made when the body is first waited for; most answers are there with their head.
    deadline: Option<Pin<Box<Sleep>>>,
    _permit: Permit,
    _in_flight: InFlight,
    _observation: Observation,
}

impl Answer {
    pub fn streaming(
        body: Body,
        (idle_timeout, upload): (Duration, Option<Progress>),
        (permit, in_flight, observation): (Permit, InFlight, Observation),
    ) -> Self {
        let streaming = Streaming {
            idle_timeout,
            upload,
            deadline: None,
            _permit: permit,
            _in_flight: in_flight,
            _observation: observation,
        };
        Self { body, streaming: Some(streaming), broken: None }
    }
}

impl Answer {
    /// How long a function may be silent within its answer.
    pub fn idle_timeout(&self) -> Duration {
        self.streaming.as_ref().map_or(Duration::ZERO, |streaming| streaming.idle_timeout)
    }

    /// Ends the call at once; its reader is told on the next poll.
    fn break_off<T>(&mut self, broken: BrokenOff, cx: &mut Context<'_>) -> Poll<T> {
        self.body = Body::Empty;
        self.streaming = None;
        self.broken = Some(broken);
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl From<Body> for Answer {
    fn from(body: Body) -> Self {
        Self { body, streaming: None, broken: None }
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let answer = self.get_mut();
        if let Some(broken) = answer.broken.take() {
            return Poll::Ready(Some(Err(broken)));
        }
        let polled = Pin::new(&mut answer.body).poll_frame(cx);
        match polled {
            Poll::Ready(Some(Ok(frame))) => {
                answer.streaming.iter_mut().for_each(Streaming::heard);
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(None) => {
                answer.streaming = None;
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => answer.break_off(BrokenOff::Function(error), cx),
            Poll::Pending => match answer.streaming.as_mut().and_then(|streaming| streaming.overdue(cx)) {
                Some(silence) => answer.break_off(BrokenOff::Silence(silence), cx),
                None => Poll::Pending,
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.broken.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Streaming {
    fn heard(&mut self) {
        if let Some(deadline) = &mut self.deadline {
            deadline.as_mut().reset(Instant::now() + self.idle_timeout);
        }
    }

    /// How long nothing has come, when that is too long.
    fn overdue(&mut self, cx: &mut Context<'_>) -> Option<Duration> {
        let idle_timeout = self.idle_timeout;
        let deadline =
            self.deadline.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + idle_timeout)));
        while deadline.as_mut().poll(cx).is_ready() {
            if !self.upload.as_mut().is_some_and(Progress::is_moving) {
                return Some(idle_timeout);
            }
            deadline.as_mut().reset(Instant::now() + idle_timeout);
        }
        None
    }
}
