//! A function that answers with the request as it came: what [`crate::Memory`] runs and what conformance calls.
//!
//! Status: `?status=NNN`, else 200. Body: the request's, as it arrives. `X-Echo-Method` and `X-Echo-Target` (raw path
//! and query) tell the request line; each request header comes back as one `X-Echo-Header: name: value`. What the header
//! `X-Echo-Log` holds is written to the function's log.

use async_trait::async_trait;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};

use crate::{Body, Call, Invoke, InvokeError};

/// [`echo`] as something to call.
#[derive(Debug, Clone, Copy)]
pub struct Echo;

#[async_trait]
impl Invoke for Echo {
    async fn invoke(&self, call: Call) -> Result<Response<Body>, InvokeError> {
        Ok(answer(call.request))
    }
}

/// The function as a program of its own: its log is what it writes to standard error.
pub fn echo<B>(request: Request<B>) -> Response<B> {
    if let Some(line) = wished_line(request.headers()) {
        eprintln!("{line}");
    }
    answer(request)
}

/// The line that the request asks to be logged.
pub(crate) fn wished_line(headers: &HeaderMap) -> Option<&str> {
    headers.get("x-echo-log")?.to_str().ok()
}

fn answer<B>(request: Request<B>) -> Response<B> {
    let (request, body) = request.into_parts();
    let mut response = Response::new(body);
    *response.status_mut() = request.uri.query().and_then(wished_status).unwrap_or(StatusCode::OK);
    let headers = response.headers_mut();
    let mut tell = |name: &'static str, value: &[u8]| {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(HeaderName::from_static(name), value);
        }
    };
    tell("x-echo-method", request.method.as_str().as_bytes());
    tell("x-echo-target", request.uri.path_and_query().map_or("/", |target| target.as_str()).as_bytes());
    for (name, value) in &request.headers {
        tell("x-echo-header", &[name.as_str().as_bytes(), b": ", value.as_bytes()].concat());
    }
    response
}

fn wished_status(query: &str) -> Option<StatusCode> {
    let code = query.split('&').find_map(|pair| pair.strip_prefix("status="))?.parse::<u16>().ok()?;
    StatusCode::from_u16(code).ok().filter(|status| !status.is_informational())
}
