//! The one place where an error becomes a status code.
//!
//! For calls of functions:
//!
//! | what happened | status | body |
//! |---|---|---|
//! | no such function | 404 | text with `name.namespace` |
//! | too many calls at once, of all functions or (by its annotations) of this one | 429, `Retry-After: 1` | text |
//! | more calls than the rate that the function's annotations allow | 429, `Retry-After`: seconds until one may come | text |
//! | a body larger than the function, or the gateway, takes | 413, `Connection: close` | text |
//! | nothing of the caller's body came for `read_timeout` | 408, `Connection: close` | text |
//! | no replica, and none came up in time (or none may be woken) | 503 | `No endpoints available for: NAME.` |
//! | no replica could be connected to, or its answer broke off before its head or is not HTTP | 502 | `Can't reach service for: NAME.` |
//! | no head of an answer within `upstream_timeout`, or the function's own timeout | 504 | text |
//! | the caller's body broke off | 400 | text |
//! | the provider failed | as below | `The platform failed to call: NAME.` |
//!
//! Apart from what is the caller's own doing (400, 404, 408, 413) they carry `X-OpenFaaS-Internal: proxy`: the platform spoke, not the function, so that a
//! queue may try again. After its head an answer can only be cut off.
//!
//! For the management API: not found 404 (empty when a status was asked for), already exists 409, invalid 400 (422 where
//! the contract says so: the name of a secret, `tail` and `since` of a log), too large 413, slow 408, unsupported 501, the
//! provider unreachable or refusing the gateway 502, everything else 500.

use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use model::Namespace;
use provider::{Body, BodyRefused, InvokeError, ProviderError};

const INTERNAL: HeaderName = HeaderName::from_static("x-openfaas-internal");
const NOSNIFF: HeaderName = HeaderName::from_static("x-content-type-options");
/// What a function may be called with, as far as methods have names that all know.
const FUNCTION_METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE";
/// Most of an error's text that is sent.
const TEXT_MAX: usize = 4096;

/// Why a request, other than a call of a function, is not met.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    #[error("404 page not found")]
    NoRoute,
    #[error("CONNECT is not served: this is no forward proxy; use an Upgrade request")]
    NoProxy,
    #[error("")]
    MethodNotAllowed(&'static str),
    #[error("invalid credentials")]
    Unauthorized,
    #[error("{0}")]
    Invalid(String),
    /// Well-formed, and yet not what it must be.
    #[error("{0}")]
    Unprocessable(String),
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    #[error("the body did not come in time")]
    TooSlow,
    /// A status was asked for; clients expect no text.
    #[error("")]
    NoStatus,
    #[error("the request was given up")]
    Aborted,
    #[error("the gateway is shutting down")]
    Ending,
    /// What everyone may hear of a provider that is not well; the log tells more.
    #[error("the provider is unavailable")]
    NotHealthy,
    #[error(transparent)]
    Provider(#[from] ProviderError),
}

impl ApiError {
    pub fn response(self) -> Response<Body> {
        let status = match &self {
            Self::NoRoute | Self::NoStatus => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed(_) | Self::NoProxy => StatusCode::METHOD_NOT_ALLOWED,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::Unprocessable(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Aborted => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Ending => StatusCode::SERVICE_UNAVAILABLE,
            Self::NotHealthy => StatusCode::BAD_GATEWAY,
            Self::Provider(error) => provider_status(error),
        };
        let text = match &self {
            Self::Provider(error) => error.chain(),
            error => error.to_string(),
        };
        // Whoever watches a gateway that ends asks again and again, and is told no news.
        if status.is_server_error() && !matches!(self, Self::Ending) {
            tracing::warn!(status = status.as_u16(), error = text, "a request failed");
        }
        let mut response = text_response(status, text);
        let headers = response.headers_mut();
        match self {
            Self::NoProxy => drop(headers.insert(ALLOW, HeaderValue::from_static(FUNCTION_METHODS))),
            Self::MethodNotAllowed(allowed) => drop(headers.insert(ALLOW, HeaderValue::from_static(allowed))),
            Self::Unauthorized => {
                let challenge = HeaderValue::from_static("Basic realm=\"Restricted\"");
                headers.insert(WWW_AUTHENTICATE, challenge);
            }
            Self::TooLarge(_) | Self::TooSlow => {
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response
    }
}

pub(crate) fn invoke_status(error: &InvokeError) -> StatusCode {
    match error {
        InvokeError::NotFound(_) => StatusCode::NOT_FOUND,
        InvokeError::Overloaded | InvokeError::Busy(_) | InvokeError::TooOften { .. } => {
            StatusCode::TOO_MANY_REQUESTS
        }
        InvokeError::NoEndpoints(_) => StatusCode::SERVICE_UNAVAILABLE,
        InvokeError::Connect { .. } | InvokeError::Upstream(_) => StatusCode::BAD_GATEWAY,
        InvokeError::Timeout(_) => StatusCode::GATEWAY_TIMEOUT,
        InvokeError::Request(source) => match source.downcast_ref() {
            Some(BodyRefused::TooLarge(_)) => StatusCode::PAYLOAD_TOO_LARGE,
            Some(BodyRefused::Stalled(_)) => StatusCode::REQUEST_TIMEOUT,
            None => StatusCode::BAD_REQUEST,
        },
        InvokeError::Provider(error) => provider_status(error),
    }
}

/// What a call of `function` is answered with when it has no answer of its own.
pub(crate) fn invoke_response(function: &dyn std::fmt::Display, error: &InvokeError) -> Response<Body> {
    let status = invoke_status(error);
    let text = match error {
        InvokeError::NoEndpoints(_) => format!("No endpoints available for: {function}."),
        InvokeError::Connect { .. } | InvokeError::Upstream(_) => {
            format!("Can't reach service for: {function}.")
        }
        // Callers are strangers: where the provider is, and what it said, is for the log.
        InvokeError::Provider(error) => {
            tracing::debug!(%function, error = error.chain(), "the provider failed a call");
            format!("The platform failed to call: {function}.")
        }
        InvokeError::Request(source) if source.is::<BodyRefused>() => source.to_string(),
        InvokeError::NotFound(_)
        | InvokeError::Overloaded
        | InvokeError::Busy(_)
        | InvokeError::TooOften { .. }
        | InvokeError::Timeout(_)
        | InvokeError::Request(_) => error.to_string(),
    };
    let mut response = text_response(status, text);
    let headers = response.headers_mut();
    if !is_the_callers(status) {
        headers.insert(INTERNAL, HeaderValue::from_static("proxy"));
    }
    match status {
        StatusCode::TOO_MANY_REQUESTS => drop(headers.insert(RETRY_AFTER, retry_after(error))),
        // What is left of the body is not read.
        StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT => {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        _ => {}
    }
    response
}

/// Whether the same call would fail again, however often it is tried.
fn is_the_callers(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::NOT_FOUND
            | StatusCode::BAD_REQUEST
            | StatusCode::REQUEST_TIMEOUT
            | StatusCode::PAYLOAD_TOO_LARGE
    )
}

/// In whole seconds, as the header wants it, and not before the time.
fn retry_after(error: &InvokeError) -> HeaderValue {
    let InvokeError::TooOften { retry_after, .. } = error else { return HeaderValue::from_static("1") };
    let begun = u64::from(retry_after.subsec_nanos() > 0);
    HeaderValue::from((retry_after.as_secs() + begun).max(1))
}

/// For a name that no function can have.
pub(crate) fn no_function(name: &str, namespace: &Namespace) -> Response<Body> {
    let namespace = if name.contains('.') { String::new() } else { format!(".{namespace}") };
    text_response(StatusCode::NOT_FOUND, format!("function {name}{namespace} is not found"))
}

fn provider_status(error: &ProviderError) -> StatusCode {
    match error {
        ProviderError::NotFound { .. } => StatusCode::NOT_FOUND,
        ProviderError::AlreadyExists { .. } => StatusCode::CONFLICT,
        ProviderError::Invalid(_) => StatusCode::BAD_REQUEST,
        ProviderError::Unsupported(_) => StatusCode::NOT_IMPLEMENTED,
        // The gateway's own credentials are refused, not the client's.
        ProviderError::Denied(_) | ProviderError::Unavailable { .. } => StatusCode::BAD_GATEWAY,
        ProviderError::Backend { .. } => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn text_response(status: StatusCode, mut text: String) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = status;
    if !text.is_empty() {
        let end = (0..=TEXT_MAX.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
        text.truncate(end.unwrap_or_default());
        text.push('\n');
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(NOSNIFF, HeaderValue::from_static("nosniff"));
        *response.body_mut() = text.into();
    }
    response
}
