//! How a provider and a call can fail. One file of the gateway turns these into status codes.

use std::io;
use std::time::Duration;

use model::FunctionId;

use crate::{BoxError, Call};

/// A closed set: whoever handles it handles all of it.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    #[error("{kind} {name} is not found")]
    NotFound { kind: &'static str, name: String },
    #[error("{kind} {name} already exists; update it or remove it first")]
    AlreadyExists { kind: &'static str, name: String },
    /// The request cannot be met as it is; the text is for the user.
    #[error("{0}")]
    Invalid(String),
    #[error("{0} is not supported by this provider")]
    Unsupported(&'static str),
    /// The other side knows us not, or lets us not.
    #[error("{0}")]
    Denied(String),
    /// Cannot be reached, or not now; the same request may work later.
    #[error("{what} is unavailable")]
    Unavailable {
        what: String,
        #[source]
        source: Option<BoxError>,
    },
    #[error("failed to {operation}")]
    Backend {
        operation: String,
        #[source]
        source: BoxError,
    },
}

impl ProviderError {
    pub fn function_not_found(id: &FunctionId) -> Self {
        Self::NotFound { kind: "function", name: id.to_string() }
    }

    pub fn function_exists(id: &FunctionId) -> Self {
        Self::AlreadyExists { kind: "function", name: id.to_string() }
    }

    pub fn backend(operation: impl Into<String>, source: impl Into<BoxError>) -> Self {
        Self::Backend { operation: operation.into(), source: source.into() }
    }

    /// The error and all that caused it, in one line.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        text
    }
}

#[derive(Debug, thiserror::Error)]
pub enum InvokeError {
    #[error("function {0} is not found")]
    NotFound(FunctionId),
    /// It exists, but nothing can take the call, and nothing came up in time.
    #[error("no endpoints available for {0}")]
    NoEndpoints(FunctionId),
    /// The platform answers as many calls as it may at once.
    #[error("too many calls at once; try again")]
    Overloaded,
    /// The function answers as many calls as it may at once.
    #[error("{0} answers as many calls as it may at once; try again")]
    Busy(FunctionId),
    /// The function has been called as often as it may be.
    #[error("{function} is called more often than it may be; try again in {retry_after:.0?}")]
    TooOften { function: FunctionId, retry_after: Duration },
    /// Nothing was sent: the call comes back and may go to another replica.
    #[error("failed to connect to {function}")]
    Connect {
        function: FunctionId,
        call: Option<Box<Call>>,
        #[source]
        source: io::Error,
    },
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The caller's own body failed, went away, or is refused ([`crate::BodyRefused`]).
    #[error("failed to read the request body")]
    Request(#[source] BoxError),
    /// The function's side broke off, or what it sent is not HTTP.
    #[error("the function did not answer properly")]
    Upstream(#[source] BoxError),
    /// A platform part between here and the function failed.
    #[error("failed to call the function")]
    Provider(#[from] ProviderError),
}
