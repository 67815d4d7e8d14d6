//! The body of a response, read from its stream as it is asked for.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use http_body::{Frame, SizeHint};

use super::line::Place;
use super::upload::Uploading;
use crate::body::BoxError;

/// Why the body of a response ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    #[error("the upstream broke off within its answer")]
    Upstream(#[source] h2::Error),
    /// The request was still being sent and its sender failed.
    #[error("the request's body failed while it was answered")]
    RequestBody(#[source] BoxError),
}

/// A response's body with its place on the connection: read to the end it gives it back, dropped earlier it resets the
/// stream.
pub(super) struct ResponseBody {
    stream: RecvStream,
    /// What is left of the request's body, on its way.
    uploading: Option<Uploading>,
    /// What is left of the length that the head told.
    left: Option<u64>,
    data_ended: bool,
    place: Option<Place>,
}

impl ResponseBody {
    pub fn new(stream: RecvStream, uploading: Option<Uploading>, length: Option<u64>, place: Place) -> Self {
        Self { stream, uploading, left: length, data_ended: false, place: Some(place) }
    }

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        while !self.data_ended {
            match ready!(self.stream.poll_data(cx)) {
                Some(Ok(data)) if data.is_empty() => {}
                Some(Ok(data)) => {
                    // Whoever asks for a frame has room for it. It fails when the stream is gone, and so is the window.
                    let _ = self.stream.flow_control().release_capacity(data.len());
                    self.left = self.left.map(|left| left.saturating_sub(data.len() as u64));
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => self.data_ended = true,
            }
        }
        match ready!(self.stream.poll_trailers(cx)) {
            Ok(Some(trailers)) => Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
            Ok(None) => Poll::Ready(None),
            Err(error) => Poll::Ready(Some(Err(error))),
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
        if body.place.is_none() {
            return Poll::Ready(None);
        }
        let polled = body.poll_data(cx);
        if let Poll::Ready(Some(Err(_))) | Poll::Pending = &polled
            && let Some(uploading) = &mut body.uploading
            && let Poll::Ready(failed) = uploading.poll_failed(cx)
        {
            body.uploading = None;
            if let Some(error) = failed {
                body.place = None;
                return Poll::Ready(Some(Err(BodyError::RequestBody(error))));
            }
        }
        let polled = ready!(polled);
        if !matches!(&polled, Some(Ok(frame)) if frame.is_data()) {
            body.uploading = None;
            body.place = None;
        }
        Poll::Ready(polled.map(|frame| frame.map_err(BodyError::Upstream)))
    }

    fn is_end_stream(&self) -> bool {
        self.place.is_none() || self.stream.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map(SizeHint::with_exact).unwrap_or_default()
    }
}
