//! The one body type of the data plane: what a call sends and what it is answered with.
//!
//! A body streams. Nothing here holds one whole, apart from `Full`, which its maker already held.

mod received;

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;

use crate::http1::ResponseBody;

pub use received::{BodyRefused, Progress, Received};

/// Any failure of a body; its source chain tells whose.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of a request or a response. It is [`Unpin`] and [`Send`], not [`Sync`].
#[derive(Default)]
pub enum Body {
    /// No bytes and no trailers.
    #[default]
    Empty,
    /// Bytes already in memory, given as one frame.
    Full(Bytes),
    /// What hyper receives.
    Incoming(Incoming),
    /// What hyper's server receives from a client, within bounds.
    Received(Received),
    /// What an upstream answers, read from its connection frame by frame.
    Upstream(ResponseBody),
    /// Anything else.
    Boxed(UnsyncBoxBody<Bytes, BoxError>),
}

impl Body {
    /// Wraps any other body.
    pub fn boxed<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self::Boxed(body.map_err(Into::into).boxed_unsync())
    }

    /// Lets it bring at most `max` bytes: more than that fails where it comes, with [`BodyRefused`]. Fails at once when
    /// it says that it is longer.
    pub fn limit(&mut self, max: u64) -> Result<(), BodyRefused> {
        if http_body::Body::size_hint(self).lower() > max {
            return Err(BodyRefused::TooLarge(max));
        }
        match self {
            Self::Empty | Self::Full(_) => {}
            Self::Received(received) => received.limit(max),
            Self::Incoming(_) | Self::Upstream(_) | Self::Boxed(_) => {
                let limited = Limited::new(std::mem::take(self), usize::try_from(max).unwrap_or(usize::MAX));
                *self = Self::boxed(limited.map_err(move |error| match error.is::<LengthLimitError>() {
                    true => BodyRefused::TooLarge(max).into(),
                    false => error,
                }));
            }
        }
        Ok(())
    }

    /// Lets a client that sends it take its time: once an answer streams, either side may have nothing to say.
    pub(crate) fn unhurried(&mut self) {
        if let Self::Received(received) = self {
            received.unhurried();
        }
    }

    /// Tells how it advances, where it is long and a client sends it.
    pub fn watch(&mut self) -> Option<Progress> {
        match self {
            Self::Received(received) => received.watch(),
            _ => None,
        }
    }

    /// Puts a frame that was already taken from a body back before the rest of it.
    pub(crate) fn with_first(first: Bytes, rest: Self) -> Self {
        match rest {
            Self::Empty => Self::Full(first),
            rest => Self::Boxed(Prefixed { first: Some(first), rest }.boxed_unsync()),
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let body = self.get_mut();
        match body {
            Self::Empty => Poll::Ready(None),
            Self::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                *body = Self::Empty;
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
            }
            Self::Incoming(incoming) => Pin::new(incoming).poll_frame(cx).map_err(Into::into),
            Self::Received(received) => Pin::new(received).poll_frame(cx),
            Self::Upstream(upstream) => Pin::new(upstream).poll_frame(cx).map_err(Into::into),
            Self::Boxed(boxed) => Pin::new(boxed).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(bytes) => bytes.is_empty(),
            Self::Incoming(incoming) => incoming.is_end_stream(),
            Self::Received(received) => received.is_end_stream(),
            Self::Upstream(upstream) => upstream.is_end_stream(),
            Self::Boxed(boxed) => boxed.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Incoming(incoming) => incoming.size_hint(),
            Self::Received(received) => received.size_hint(),
            Self::Upstream(upstream) => upstream.size_hint(),
            Self::Boxed(boxed) => boxed.size_hint(),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let variant = match self {
            Self::Empty => "Empty",
            Self::Full(_) => "Full",
            Self::Incoming(_) => "Incoming",
            Self::Received(_) => "Received",
            Self::Upstream(_) => "Upstream",
            Self::Boxed(_) => "Boxed",
        };
        write!(f, "Body::{variant}")
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        if bytes.is_empty() { Self::Empty } else { Self::Full(bytes) }
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Bytes::from_static(text.as_bytes()).into()
    }
}

impl From<Incoming> for Body {
    fn from(incoming: Incoming) -> Self {
        Self::Incoming(incoming)
    }
}

/// A body whose first frame was taken out and put back.
struct Prefixed {
    first: Option<Bytes>,
    rest: Body,
}

impl http_body::Body for Prefixed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.first.take() {
            Some(first) => Poll::Ready(Some(Ok(Frame::data(first)))),
            None => Pin::new(&mut self.rest).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let first = self.first.as_ref().map_or(0, |bytes| bytes.len() as u64);
        let rest = self.rest.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(first));
        if let Some(upper) = rest.upper().and_then(|upper| upper.checked_add(first)) {
            hint.set_upper(upper);
        }
        hint
    }
}
