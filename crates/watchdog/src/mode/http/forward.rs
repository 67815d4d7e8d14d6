//! One call to the function's server: the request made ready, sent, and when that is harmless sent again.

use std::sync::Arc;

use http::header::{CONTENT_LENGTH, HOST, HeaderValue, TRANSFER_ENCODING, UPGRADE};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;

use super::headers::{Passage, ask_for_upgrade, strip_hop_by_hop};
use super::pool::{ConnectError, Lease, Pool};
use super::{Http, UpstreamBody, upgrade};
use crate::body::{BodyError, Output, RequestBody};
use crate::mode::Context;

#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    #[error("the limit of time passed")]
    Timeout,
    #[error("the function does not listen yet")]
    NotListening,
    #[error("the request's target is not one that the function can be asked for")]
    Target,
    #[error("the method CONNECT cannot be passed on")]
    Method,
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error("{}", chain(.0))]
    Send(hyper::Error),
}

impl Http {
    pub(super) async fn forward(
        &self,
        mut request: Request<RequestBody>,
        passage: Passage,
        context: &Context,
    ) -> Result<Response<Output>, ForwardError> {
        if request.method() == Method::CONNECT {
            return Err(ForwardError::Method);
        }
        let client = (passage == Passage::WebSocket).then(|| hyper::upgrade::on(&mut request));
        let request = self.prepare(request, passage, context).await?;
        self.wait_open().await?;
        let (response, lease) = send(&self.pool, request).await?;
        match client {
            Some(client) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                Ok(switch(response, client, context))
            }
            _ => Ok(answer(response, lease)),
        }
    }

    async fn prepare(
        &self,
        request: Request<RequestBody>,
        passage: Passage,
        context: &Context,
    ) -> Result<Request<RequestBody>, ForwardError> {
        let (Parts { method, uri, mut headers, .. }, mut body) = request.into_parts();
        let protocol = headers.get(UPGRADE).cloned();
        strip_hop_by_hop(&mut headers);
        match (passage, protocol) {
            (Passage::WebSocket, Some(protocol)) => ask_for_upgrade(&mut headers, protocol),
            (Passage::Plain, _) => {}
            _ => append_forwarded_for(&mut headers, context),
        }
        if !headers.contains_key(HOST) {
            headers.insert(HOST, self.pool.upstream.host_header.clone());
        }
        if body.size_hint().exact().is_none() {
            // One framing alone reaches the function.
            headers.remove(CONTENT_LENGTH);
            if self.buffer_body {
                let whole = body.collect().await?;
                headers.insert(CONTENT_LENGTH, HeaderValue::from(whole.len()));
                body = RequestBody::Whole(whole);
            } else {
                headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
            }
        }
        let mut prepared = Request::new(body);
        *prepared.method_mut() = method;
        *prepared.uri_mut() = self.pool.upstream.target(uri.path_and_query()).ok_or(ForwardError::Target)?;
        *prepared.headers_mut() = headers;
        Ok(prepared)
    }
}

fn append_forwarded_for(headers: &mut http::HeaderMap, context: &Context) {
    let peer = context.peer.to_canonical().to_string();
    let known = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
    let all = known.chain([peer.as_str()]).collect::<Vec<_>>().join(", ");
    if let Ok(value) = HeaderValue::from_str(&all) {
        headers.insert("x-forwarded-for", value);
    }
}

/// A kept connection may have been closed just now: what was not sent, or may be sent twice, gets a new one.
async fn send(
    pool: &Arc<Pool>,
    mut request: Request<RequestBody>,
) -> Result<(Response<Incoming>, Lease), ForwardError> {
    let mut fresh = false;
    loop {
        let mut lease = pool.lease(fresh).await?;
        let spare = if lease.reused { replica(&request) } else { None };
        match lease.sender.try_send_request(request).await {
            Ok(response) => return Ok((response, lease)),
            Err(mut failure) => match failure.take_message().or(spare) {
                Some(again) if lease.reused => {
                    request = again;
                    fresh = true;
                }
                _ => return Err(send_error(failure.into_error())),
            },
        }
    }
}

/// A second copy of a request that is safe to be made twice and has no body.
fn replica(request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
    let safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE);
    if !safe || !request.body().is_end_stream() {
        return None;
    }
    let mut copy = Request::new(RequestBody::Empty);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    Some(copy)
}

fn answer(response: Response<Incoming>, lease: Lease) -> Response<Output> {
    let (mut head, incoming) = response.into_parts();
    strip_hop_by_hop(&mut head.headers);
    if incoming.size_hint().exact().is_none() {
        head.headers.remove(CONTENT_LENGTH);
    }
    let mut response = Response::new(Output::Upstream(UpstreamBody { incoming, lease: Some(lease) }));
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers;
    response
}

fn switch(mut response: Response<Incoming>, client: OnUpgrade, context: &Context) -> Response<Output> {
    let upstream = hyper::upgrade::on(&mut response);
    tokio::spawn(upgrade::tunnel(client, upstream, context.slot.clone()));
    let mut switched = Response::new(Output::Empty);
    *switched.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *switched.headers_mut() = std::mem::take(response.headers_mut());
    switched
}

fn send_error(error: hyper::Error) -> ForwardError {
    let timed_out = std::error::Error::source(&error).and_then(|source| source.downcast_ref::<BodyError>());
    match timed_out {
        Some(BodyError::ReadTimeout) => ForwardError::Body(BodyError::ReadTimeout),
        _ => ForwardError::Send(error),
    }
}

fn chain(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
