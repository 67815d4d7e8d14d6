//! Bodies: what a caller sends, and what a mode answers. An error in either ends the connection, never cleanly.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use crate::mode::http::UpstreamBody;
use crate::mode::streaming::ProcessBody;

/// The most that is ever held of one body, where a mode must have it whole.
pub const WHOLE_MAX: usize = 256 * 1024 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    #[error("the request body did not arrive within read_timeout")]
    ReadTimeout,
    #[error("the body is larger than {WHOLE_MAX} bytes, the most that can be held at once")]
    TooLarge,
    #[error("the body broke off: {0}")]
    Broken(#[from] hyper::Error),
    #[error("the function failed in the middle of its answer: {0}")]
    Function(crate::process::Exit),
    #[error("cannot read the function's answer: {0}")]
    Read(#[from] std::io::Error),
}

pub enum RequestBody {
    Empty,
    Whole(Bytes),
    Incoming { body: Incoming, deadline: Option<Pin<Box<Sleep>>> },
}

impl RequestBody {
    pub fn incoming(body: Incoming, deadline: Option<Instant>) -> Self {
        if body.is_end_stream() {
            return RequestBody::Empty;
        }
        RequestBody::Incoming { body, deadline: deadline.map(|at| Box::pin(tokio::time::sleep_until(at))) }
    }

    /// Reads to the end, up to [`WHOLE_MAX`].
    pub async fn collect(mut self) -> Result<Bytes, BodyError> {
        let mut whole = BytesMut::new();
        while let Some(frame) = std::future::poll_fn(|context| Pin::new(&mut self).poll_frame(context)).await
        {
            let Ok(data) = frame?.into_data() else { continue };
            if whole.len() + data.len() > WHOLE_MAX {
                return Err(BodyError::TooLarge);
            }
            whole.extend_from_slice(&data);
        }
        Ok(whole.freeze())
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            RequestBody::Empty => Poll::Ready(None),
            RequestBody::Whole(whole) => {
                let data = std::mem::take(whole);
                Poll::Ready((!data.is_empty()).then(|| Ok(Frame::data(data))))
            }
            RequestBody::Incoming { body, deadline } => {
                if let Poll::Ready(frame) = Pin::new(body).poll_frame(context) {
                    return Poll::Ready(frame.map(|frame| frame.map_err(BodyError::from)));
                }
                match deadline.as_mut().map(|deadline| deadline.as_mut().poll(context)) {
                    Some(Poll::Ready(())) => Poll::Ready(Some(Err(BodyError::ReadTimeout))),
                    _ => Poll::Pending,
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            RequestBody::Empty => true,
            RequestBody::Whole(whole) => whole.is_empty(),
            RequestBody::Incoming { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            RequestBody::Empty => SizeHint::with_exact(0),
            RequestBody::Whole(whole) => SizeHint::with_exact(whole.len() as u64),
            RequestBody::Incoming { body, .. } => body.size_hint(),
        }
    }
}

pub enum Output {
    Empty,
    Whole(Bytes),
    Upstream(UpstreamBody),
    Process(Box<ProcessBody>),
}

impl Body for Output {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Output::Empty => Poll::Ready(None),
            Output::Whole(whole) => {
                let data = std::mem::take(whole);
                Poll::Ready((!data.is_empty()).then(|| Ok(Frame::data(data))))
            }
            Output::Upstream(body) => body.poll_frame(context),
            Output::Process(body) => {
                body.poll_chunk(context).map(|chunk| chunk.map(|chunk| chunk.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Output::Empty => true,
            Output::Whole(whole) => whole.is_empty(),
            Output::Upstream(body) => body.is_end_stream(),
            Output::Process(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Output::Empty => SizeHint::with_exact(0),
            Output::Whole(whole) => SizeHint::with_exact(whole.len() as u64),
            Output::Upstream(body) => body.size_hint(),
            Output::Process(_) => SizeHint::default(),
        }
    }
}
