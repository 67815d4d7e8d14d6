//! The body of a response, read from its connection as it is asked for.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Frame, SizeHint};

use super::chunked::{Chunked, Step};
use super::connection::Connection;
use super::response::Framing;
use crate::body::BoxError;

/// Why the body of a response ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    #[error("the upstream closed the connection within its answer")]
    Closed,
    #[error("the connection to the upstream failed within its answer")]
    Upstream(#[source] std::io::Error),
    #[error("the upstream's answer is not valid HTTP/1.1: {0}")]
    Parse(&'static str),
    #[error("the upstream's answer exceeds a limit: {0} are too long")]
    TooLarge(&'static str),
    /// The request was still being sent and its sender failed.
    #[error("the request's body failed while it was answered")]
    RequestBody(#[source] BoxError),
}

/// A response's body that owns its connection: read to the end it gives it back, dropped earlier it closes it.
///
/// While it is read, the rest of the request's body is sent.
#[derive(Debug)]
pub struct ResponseBody {
    connection: Option<Box<Connection>>,
    decoder: Decoder,
}

#[derive(Debug)]
enum Decoder {
    Length(u64),
    Chunked(Chunked),
    Close,
}

impl ResponseBody {
    pub(super) fn new(connection: Box<Connection>, framing: Framing) -> Self {
        let decoder = match framing {
            Framing::Empty => Decoder::Length(0),
            Framing::Length(length) => Decoder::Length(length),
            Framing::Chunked => Decoder::Chunked(Chunked::default()),
            Framing::Close => Decoder::Close,
        };
        Self { connection: Some(connection), decoder }
    }

    fn poll_step(
        &mut self,
        connection: &mut Connection,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Step, BodyError>> {
        if let Poll::Ready(Err(error)) = connection.upload.poll(&mut connection.stream, cx) {
            return Poll::Ready(Err(BodyError::RequestBody(error)));
        }
        loop {
            match self.decoder.step(&mut connection.input)? {
                Step::More => {}
                step => return Poll::Ready(Ok(step)),
            }
            match ready!(connection.poll_fill(cx)) {
                Ok(0) if matches!(self.decoder, Decoder::Close) => return Poll::Ready(Ok(Step::End(None))),
                Ok(0) => return Poll::Ready(Err(BodyError::Closed)),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Err(BodyError::Upstream(error))),
            }
        }
    }
}

impl http_body::Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let body = self.get_mut();
        let Some(mut connection) = body.connection.take() else { return Poll::Ready(None) };
        let step = match body.poll_step(&mut connection, cx) {
            Poll::Ready(Ok(step)) => step,
            Poll::Ready(Err(error)) => return Poll::Ready(Some(Err(error))),
            Poll::Pending => {
                body.connection = Some(connection);
                return Poll::Pending;
            }
        };
        let frame = match step {
            Step::Data(data) => {
                if !body.decoder.take_end(&mut connection.input) {
                    body.connection = Some(connection);
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Some(Frame::data(data))
            }
            Step::End(trailers) => trailers.map(Frame::trailers),
            Step::More => None,
        };
        connection.finish(cx);
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.connection.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match self.decoder {
            _ if self.connection.is_none() => SizeHint::with_exact(0),
            Decoder::Length(left) => SizeHint::with_exact(left),
            Decoder::Chunked(_) | Decoder::Close => SizeHint::default(),
        }
    }
}

impl Decoder {
    fn step(&mut self, input: &mut BytesMut) -> Result<Step, BodyError> {
        Ok(match self {
            Self::Length(0) => Step::End(None),
            Self::Chunked(chunked) => return chunked.step(input),
            _ if input.is_empty() => Step::More,
            Self::Close => Step::Data(input.split().freeze()),
            Self::Length(left) => {
                let take = (*left).min(input.len() as u64);
                *left -= take;
                // Not truncating: `take` is at most the length of a buffer.
                Step::Data(input.split_to(take as usize).freeze())
            }
        })
    }

    /// Whether the data just given was the last.
    fn take_end(&self, input: &mut BytesMut) -> bool {
        match self {
            Self::Length(left) => *left == 0,
            Self::Chunked(chunked) => chunked.take_end(input),
            Self::Close => false,
        }
    }
}
