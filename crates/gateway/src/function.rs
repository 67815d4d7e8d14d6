//! `/function/{name}[.{namespace}]/…`: a request becomes a [`Call`], and its answer a response.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, UPGRADE};
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Response, StatusCode, Uri, Version};
use http_body::Body as _;
use hyper::body::Incoming;
use model::FunctionId;
use provider::http1::Upgraded;
use provider::{Body, Call, CallId, InvokeError, Received};

use crate::body::Answer;
use crate::headers::{
    Asked, CALL_ID, DURATION, SERVED_BY, SERVED_BY_MINKE, START_TIME, add_forwarded, duration, start_time,
    strip_hop_by_hop,
};
use crate::peer::Peer;
use crate::tunnel::Tunnel;
use crate::{Inner, error};

/// Headers that a request gets here and further on.
const ADDED_MAX: usize = 8;

/// `function` and `path` are parts of the request's own path.
pub(crate) async fn call(
    gateway: &Inner,
    (function, path): (&str, &str),
    peer: &Peer,
    request: Request<Incoming>,
) -> Response<Answer> {
    let now = SystemTime::now();
    let namespace = &gateway.config.namespace;
    let (mut parts, body) = request.into_parts();
    let asked = Asked::of(&parts);
    // Once, for all that is added to it on the way.
    parts.headers.reserve(ADDED_MAX);
    strip_hop_by_hop(&mut parts.headers);
    asked.ask_on(&mut parts);
    add_forwarded(&mut parts, peer);
    let call_id = parts.headers.get(CALL_ID).and_then(CallId::kept).unwrap_or_else(CallId::random);
    parts.headers.insert(CALL_ID, call_id.as_header().clone());
    let started = start_time(now);
    parts.headers.append(START_TIME, started.clone());
    let (id, uri) = match (FunctionId::parse(function, namespace), target(path, parts.uri.query())) {
        (Ok(id), Some(uri)) => (id, uri),
        // A name that no function can have: there is none.
        _ => return told(error::no_function(function, namespace).map(Answer::from), &call_id, started),
    };
    parts.uri = uri;
    let content_type = parts.headers.get(CONTENT_TYPE).cloned();
    let request = Request::from_parts(parts, body_of(body, gateway.config.read_timeout));
    let call = Box::new(Call { function: id.clone(), call_id: call_id.clone(), request });
    let answered = match gateway.pipeline.answer(call).await {
        Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => switched(response, peer),
        Ok(response) => Ok(completed(response, content_type, now)),
        Err(error) => Err(error),
    };
    let response = answered.unwrap_or_else(|error| {
        tracing::debug!(function = %id, call_id = %call_id, error = %error, "a call failed");
        error::invoke_response(&id, &error).map(Answer::from)
    });
    told(response, &call_id, started)
}

/// Adds what the contract promises of each answer of a function, where the function is silent.
fn completed(
    mut response: Response<Answer>,
    content_type: Option<HeaderValue>,
    since: SystemTime,
) -> Response<Answer> {
    // Each hop speaks its own.
    *response.version_mut() = Version::HTTP_11;
    let has_body = !response.body().is_end_stream();
    let headers = response.headers_mut();
    strip_hop_by_hop(headers);
    if has_body && !headers.contains_key(CONTENT_TYPE) {
        headers.insert(CONTENT_TYPE, content_type.unwrap_or(HeaderValue::from_static("text/plain")));
    }
    if !headers.contains_key(DURATION) {
        headers.insert(DURATION, duration(since.elapsed().unwrap_or_default()));
    }
    response
}

/// The function speaks another protocol from here on, and so will the client's connection.
fn switched(mut response: Response<Answer>, peer: &Peer) -> Result<Response<Answer>, InvokeError> {
    let function = response.extensions_mut().remove::<Upgraded>().and_then(|upgraded| upgraded.take());
    let function = function
        .ok_or_else(|| InvokeError::Upstream("it switches protocols, which was not asked for".into()))?;
    let headers = response.headers_mut();
    let protocol = headers.get(UPGRADE).cloned();
    strip_hop_by_hop(headers);
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    if let Some(protocol) = protocol {
        headers.insert(UPGRADE, protocol);
    }
    let call = std::mem::replace(response.body_mut(), Answer::from(Body::Empty));
    peer.switch(Tunnel::new(function, call));
    Ok(response)
}

/// The function's own values stay.
fn told(mut response: Response<Answer>, call_id: &CallId, started: HeaderValue) -> Response<Answer> {
    let headers = response.headers_mut();
    headers.entry(CALL_ID).or_insert_with(|| call_id.as_header().clone());
    headers.entry(START_TIME).or_insert(started);
    headers.entry(SERVED_BY).or_insert(SERVED_BY_MINKE);
    response
}

/// What the function sees: the rest of the raw path, and the query.
pub(crate) fn target(path: &str, query: Option<&str>) -> Option<Uri> {
    let slash = if path.is_empty() { "/" } else { "" };
    let target = match query {
        Some(query) => [slash, path, "?", query].concat(),
        None if path.len() < 2 => return Some(Uri::from_static("/")),
        None => path.to_owned(),
    };
    PathAndQuery::from_maybe_shared(Bytes::from(target)).ok().map(Uri::from)
}

fn body_of(body: Incoming, patience: Duration) -> Body {
    if body.is_end_stream() { Body::Empty } else { Body::Received(Received::new(body, patience)) }
}
