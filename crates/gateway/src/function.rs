//! `/function/{name}[.{namespace}]/…`: a request becomes a [`Call`], and its answer a response.

use std::time::SystemTime;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Response, Uri};
use hyper::body::Incoming;
use model::{FunctionId, Namespace};
use provider::{Body, Call, CallId};

use crate::body::Answer;
use crate::error;
use crate::headers::{CALL_ID, START_TIME, add_forwarded, strip_hop_by_hop};
use crate::invoke::Pipeline;

/// `function` and `path` are parts of the request's own path.
pub(crate) async fn call(
    pipeline: &Pipeline,
    (function, path, namespace): (&str, &str, &Namespace),
    peer: &HeaderValue,
    request: Request<Incoming>,
) -> Response<Answer> {
    let (mut parts, body) = request.into_parts();
    strip_hop_by_hop(&mut parts.headers);
    add_forwarded(&mut parts, peer);
    let call_id = parts.headers.get(CALL_ID).and_then(CallId::kept).unwrap_or_else(CallId::random);
    parts.headers.insert(CALL_ID, call_id.as_header().clone());
    let started = start_time();
    parts.headers.append(START_TIME, started.clone());
    let (id, uri) = match (FunctionId::parse(function, namespace), target(path, parts.uri.query())) {
        (Ok(id), Some(uri)) => (id, uri),
        // A name that no function can have: there is none.
        _ => return told(error::no_function(function, namespace).map(Answer::from), &call_id, started),
    };
    parts.uri = uri;
    let request = Request::from_parts(parts, body_of(body));
    let call = Box::new(Call { function: id.clone(), call_id: call_id.clone(), request });
    let response = match pipeline.answer(call).await {
        Ok(mut response) => {
            strip_hop_by_hop(response.headers_mut());
            response
        }
        Err(error) => {
            tracing::debug!(function = %id, call_id = %call_id, error = %error, "a call failed");
            error::invoke_response(&id, &error).map(Answer::from)
        }
    };
    told(response, &call_id, started)
}

/// The function's own values stay.
fn told(mut response: Response<Answer>, call_id: &CallId, started: HeaderValue) -> Response<Answer> {
    let headers = response.headers_mut();
    headers.entry(CALL_ID).or_insert_with(|| call_id.as_header().clone());
    headers.entry(START_TIME).or_insert(started);
    response
}

/// What the function sees: the rest of the raw path, and the query.
fn target(path: &str, query: Option<&str>) -> Option<Uri> {
    let slash = if path.is_empty() { "/" } else { "" };
    let target = match query {
        Some(query) => [slash, path, "?", query].concat(),
        None if path.len() < 2 => return Some(Uri::from_static("/")),
        None => path.to_owned(),
    };
    PathAndQuery::from_maybe_shared(Bytes::from(target)).ok().map(Uri::from)
}

fn body_of(body: Incoming) -> Body {
    if http_body::Body::is_end_stream(&body) { Body::Empty } else { Body::Incoming(body) }
}

/// UTC, nanoseconds since 1970.
fn start_time() -> HeaderValue {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    HeaderValue::from(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}
