//! The sending half of a call: its body, frame by frame, as the endpoint makes room for it.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, SendStream};
use http_body::{Body as _, Frame};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use crate::body::{Body, BoxError};
use crate::http1::may_trail;

pub(super) struct Upload {
    /// None when everything is sent, or nobody wants it any more.
    stream: Option<SendStream<Bytes>>,
    body: Body,
    /// Taken out of the body, and not yet sent.
    staged: Bytes,
    taken: Taken,
}

/// An upload that goes on by itself while its answer is read; ends when dropped.
pub(super) struct Uploading {
    task: AbortHandle,
    /// Why the body failed, if it did.
    failed: oneshot::Receiver<BoxError>,
}

/// What has been taken out of the body, as far as it can be put back.
enum Taken {
    Nothing,
    First(Bytes),
    More,
}

impl Upload {
    /// `stream` is none when the body ended with the head.
    pub fn new(stream: Option<SendStream<Bytes>>, body: Body) -> Self {
        Self { stream, body, staged: Bytes::new(), taken: Taken::Nothing }
    }

    /// Sends what can be sent now; ready when there is nothing left to do. Only a failure of the body is an error here:
    /// when the stream fails, the answer tells why.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        let polled = self.poll_body(cx);
        if let Poll::Ready(Err(_)) = &polled {
            self.cancel();
        }
        polled
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        loop {
            let Some(stream) = &mut self.stream else { return Poll::Ready(Ok(())) };
            if !self.staged.is_empty() {
                while stream.capacity() == 0 {
                    let Some(Ok(_)) = ready!(stream.poll_capacity(cx)) else {
                        self.end();
                        return Poll::Ready(Ok(()));
                    };
                }
                let data = std::mem::take(&mut self.staged);
                let last = self.body.is_end_stream();
                if stream.send_data(data, last).is_err() || last {
                    self.end();
                }
                continue;
            }
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => self.stage(frame),
                Some(Err(error)) => return Poll::Ready(Err(error)),
                None => {
                    // What fails here failed on the stream.
                    let _ = stream.send_data(Bytes::new(), true);
                    self.end();
                }
            }
        }
    }

    /// Goes on beside the answer, for a caller that does not read may still have much to say: each direction has its own
    /// windows. None when all is sent.
    pub fn go_on(mut self) -> Option<Uploading> {
        self.stream.as_ref()?;
        self.body.unhurried();
        let (failing, failed) = oneshot::channel();
        let task = tokio::spawn(async move {
            if let Err(error) = poll_fn(|cx| self.poll_body(cx)).await {
                // Told before the stream is reset, which the answer's reader sees as well.
                let _ = failing.send(error);
                self.cancel();
            }
        });
        Some(Uploading { task: task.abort_handle(), failed })
    }

    /// The body as it was given, if it can be put together again.
    pub fn reclaim(self) -> Option<Body> {
        match self.taken {
            Taken::Nothing => Some(self.body),
            Taken::First(first) => Some(Body::with_first(first, self.body)),
            Taken::More => None,
        }
    }

    fn stage(&mut self, frame: Frame<Bytes>) {
        let Some(stream) = &mut self.stream else { return };
        match frame.into_data() {
            Ok(data) if data.is_empty() => {}
            Ok(data) => {
                self.taken = match self.taken {
                    Taken::Nothing => Taken::First(data.clone()),
                    _ => Taken::More,
                };
                // One byte, to be woken: asking for all of it would take the window from calls that are ready to send.
                stream.reserve_capacity(1);
                self.staged = data;
            }
            Err(frame) => {
                self.taken = Taken::More;
                if let Ok(trailers) = frame.into_trailers() {
                    let trailers = trailers.iter().filter(|(name, _)| may_trail(name));
                    let trailers = trailers.map(|(name, value)| (name.clone(), value.clone())).collect();
                    let _ = stream.send_trailers(trailers);
                    self.end();
                }
            }
        }
    }

    fn cancel(&mut self) {
        if let Some(stream) = &mut self.stream {
            stream.send_reset(Reason::CANCEL);
        }
        self.end();
    }

    /// The body, which is a hold on its sender, goes too, unless it may be wanted back.
    fn end(&mut self) {
        self.stream = None;
        if matches!(self.taken, Taken::More) || self.body.is_end_stream() {
            self.body = Body::Empty;
        }
    }
}

impl Uploading {
    /// Why the body failed, once it has.
    pub fn poll_failed(&mut self, cx: &mut Context<'_>) -> Poll<Option<BoxError>> {
        Pin::new(&mut self.failed).poll(cx).map(Result::ok)
    }
}

impl Drop for Uploading {
    fn drop(&mut self) {
        self.task.abort();
    }
}
