//! One invocation on its way to a function.

use std::fmt;

use http::{HeaderValue, Request};
use model::FunctionId;

use crate::Body;

/// Longest call id that is kept from a caller; a longer one is replaced.
const CALL_ID_MAX: usize = 256;

/// A request for a function. Its URI is what the function sees: the raw path after the name, and the query.
#[derive(Debug)]
pub struct Call {
    pub function: FunctionId,
    pub call_id: CallId,
    pub request: Request<Body>,
}

/// What joins the logs of one call across the platform (`X-Call-Id`).
#[derive(Clone, PartialEq, Eq)]
pub struct CallId(HeaderValue);

impl CallId {
    pub fn random() -> Self {
        let id = uuid::Builder::from_random_bytes(fastrand::u128(..).to_ne_bytes()).into_uuid();
        let mut text = uuid::Uuid::encode_buffer();
        let text = id.hyphenated().encode_lower(&mut text);
        Self(HeaderValue::from_str(text).expect("a UUID is a header value"))
    }

    /// The caller's own id, if it is one that can be kept.
    pub fn kept(value: &HeaderValue) -> Option<Self> {
        let fits = !value.is_empty() && value.len() <= CALL_ID_MAX && value.to_str().is_ok();
        fits.then(|| Self(value.clone()))
    }

    pub fn as_header(&self) -> &HeaderValue {
        &self.0
    }

    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
