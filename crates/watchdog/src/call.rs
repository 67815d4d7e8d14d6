//! One call: health, readiness or the function; its place among the others, its line in the log.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::body::{BodyError, Output, RequestBody};
use crate::config::Timeouts;
use crate::connection::Deadline;
use crate::health::Health;
use crate::limit::{Gauge, Slot};
use crate::log::{Access, Log};
use crate::mode::{self, Context, Mode};
use crate::process::is_well_encoded;

/// Everything that a call can reach.
pub struct Watchdog {
    pub mode: Mode,
    pub health: Health,
    pub calls: Gauge,
    pub timeouts: Timeouts,
    pub ready_path: Option<Uri>,
    pub log: Log,
}

impl Watchdog {
    pub async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        peer: IpAddr,
        deadline: Arc<Deadline>,
    ) -> Response<Answer> {
        let started = Instant::now();
        deadline.begin(started);
        let record = Record::new(&self, &request, started, deadline.clone());
        let mut context = Context { started, peer, slot: None, deadline };
        let response = match request.uri().path() {
            "/_/health" => self.health(request.method()),
            "/_/ready" => self.ready(&request, &context).await,
            path if !is_well_encoded(path) => mode::text(StatusCode::BAD_REQUEST, "400 Bad Request"),
            _ => match self.calls.enter() {
                None => self.too_many(),
                Some(slot) => {
                    context.slot = Some(slot);
                    let read_by = self.timeouts.read.map(|limit| started + limit);
                    let request = request.map(|body| RequestBody::incoming(body, read_by));
                    self.mode.call(request, &context).await
                }
            },
        };
        record.track(response, context.slot)
    }

    fn health(&self, method: &Method) -> Response<Output> {
        if method != Method::GET {
            return method_not_allowed();
        }
        if !self.health.is_up() {
            return status(StatusCode::SERVICE_UNAVAILABLE);
        }
        mode::text(StatusCode::OK, "OK")
    }

    async fn ready(&self, probe: &Request<Incoming>, context: &Context) -> Response<Output> {
        if probe.method() != Method::GET {
            return method_not_allowed();
        }
        if !self.health.is_up() {
            return status(StatusCode::SERVICE_UNAVAILABLE);
        }
        if self.calls.is_full() {
            return status(StatusCode::TOO_MANY_REQUESTS);
        }
        let Some(path) = &self.ready_path else { return status(StatusCode::OK) };
        let mut request = Request::new(RequestBody::Empty);
        *request.uri_mut() = path.clone();
        *request.headers_mut() = probe.headers().clone();
        request.headers_mut().remove(HOST);
        request.headers_mut().remove(CONTENT_LENGTH);
        self.mode.call(request, context).await
    }

    fn too_many(&self) -> Response<Output> {
        let max = self.calls.max();
        let message = format!("Concurrent request limit exceeded. Max concurrent requests: {max}\n");
        let mut response = mode::text(StatusCode::TOO_MANY_REQUESTS, message);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        headers.insert("x-openfaas-internal", HeaderValue::from_static("faas-middleware"));
        response
    }
}

fn status(status: StatusCode) -> Response<Output> {
    let mut response = Response::new(Output::Empty);
    *response.status_mut() = status;
    response
}

fn method_not_allowed() -> Response<Output> {
    let mut response = status(StatusCode::METHOD_NOT_ALLOWED);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
    response
}

/// The body of an answer, with what must outlive its last byte.
pub struct Answer {
    output: Output,
    record: Record,
    _slot: Option<Slot>,
}

/// Ends with the call, however it ends, and then writes its line.
struct Record {
    watchdog: Arc<Watchdog>,
    deadline: Arc<Deadline>,
    started: Instant,
    method: Method,
    uri: Uri,
    call_id: Option<String>,
    quiet: bool,
    status: Option<StatusCode>,
    declared: Option<u64>,
    sent: u64,
    whole: bool,
}

impl Record {
    fn new(
        watchdog: &Arc<Watchdog>,
        request: &Request<Incoming>,
        started: Instant,
        deadline: Arc<Deadline>,
    ) -> Self {
        let header = |name| request.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let probe = header(USER_AGENT.as_str()).is_some_and(|agent| agent.starts_with("kube-probe/"));
        let own = matches!(request.uri().path(), "/_/health" | "/_/ready");
        let call_id = watchdog.log.call_id.then(|| header("x-call-id").unwrap_or("none").to_owned());
        Self {
            watchdog: watchdog.clone(),
            deadline,
            started,
            method: request.method().clone(),
            uri: request.uri().clone(),
            call_id,
            quiet: probe || own,
            status: None,
            declared: None,
            sent: 0,
            whole: false,
        }
    }

    fn track(mut self, response: Response<Output>, slot: Option<Slot>) -> Response<Answer> {
        let header = response.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        self.declared = header.and_then(|text| text.parse().ok()).or(response.body().size_hint().exact());
        self.status = Some(response.status());
        // An answer to HEAD is never asked for its body.
        self.whole = self.method == Method::HEAD || response.body().is_end_stream();
        response.map(|output| Answer { output, record: self, _slot: slot })
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.deadline.end();
        if self.quiet {
            return;
        }
        let long = matches!(self.watchdog.mode, Mode::Http(_));
        self.watchdog.log.access(&Access {
            method: &self.method,
            path: self.uri.path(),
            status: self.status,
            long,
            length: if long { self.declared } else { Some(self.sent) },
            aborted: !self.whole,
            took: self.started.elapsed(),
            call_id: self.call_id.as_deref().filter(|_| long),
        });
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let frame = std::task::ready!(Pin::new(&mut this.output).poll_frame(context));
        match &frame {
            None => this.record.whole = true,
            Some(Ok(frame)) => {
                this.record.sent += frame.data_ref().map_or(0, |data| data.len() as u64);
                this.record.whole = this.output.is_end_stream();
            }
            Some(Err(error)) => this.record.watchdog.log.note(format!("answer broken off: {error}")),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.output.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.output.size_hint()
    }
}
