//! One server process, started with the watchdog: requests are passed on to its port, answers passed back.

mod forward;
mod headers;
mod pool;
mod upgrade;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use model::duration::parse_go_duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};

use super::{Context, internal, set_duration, streaming::until};
use crate::body::{BodyError, Output, RequestBody};
use crate::config::UpstreamUrl;
use crate::log::Log;
use forward::ForwardError;
use headers::Passage;
use pool::{Lease, Pool};

/// A small server is up by then.
const EAGER: Duration = Duration::from_millis(20);

pub struct Http {
    pool: Arc<Pool>,
    buffer_body: bool,
    exec_timeout: Option<Duration>,
    log: Log,
    open: watch::Sender<bool>,
    /// Until then early calls wait for the function's port, later ones are told at once.
    patience_ends: Instant,
}

impl Http {
    pub fn new(
        upstream: UpstreamUrl,
        buffer_body: bool,
        start_timeout: Duration,
        exec_timeout: Option<Duration>,
        log: Log,
    ) -> Self {
        let pool = Arc::new(Pool::new(upstream));
        let patience_ends = Instant::now() + start_timeout.min(Duration::from_secs(86_400));
        Self { pool, buffer_body, exec_timeout, log, open: watch::Sender::new(false), patience_ends }
    }

    /// Returns once the function's port accepts; the connection that showed it serves the first call.
    pub async fn open(&self) {
        let began = Instant::now();
        loop {
            if let Ok(sender) = self.pool.connect().await {
                self.pool.put(sender);
                self.open.send_replace(true);
                return;
            }
            let waited = began.elapsed();
            if waited < EAGER {
                // Every cold start waits for this, and the runtime's clock knows no step below a millisecond.
                std::thread::sleep(Duration::from_micros(200));
                tokio::task::yield_now().await;
            } else {
                sleep((waited / 200).max(Duration::from_millis(1))).await;
            }
        }
    }

    pub async fn call(&self, request: Request<RequestBody>, context: &Context) -> Response<Output> {
        let passage = Passage::of(request.headers());
        let limit = match passage {
            Passage::Plain => self.limit(&request),
            Passage::Events | Passage::WebSocket => None,
        };
        let deadline = limit.map(|limit| context.started + limit);
        let outcome = until(deadline, self.forward(request, passage, context)).await;
        let (mut response, timed) = match outcome.unwrap_or(Err(ForwardError::Timeout)) {
            Ok(response) => (response, passage == Passage::Plain),
            Err(error) => {
                self.log.note(format!("upstream request failed: {error}"));
                (internal(error.status()), true)
            }
        };
        if let Some(deadline) = deadline {
            context.deadline.cut(deadline);
        }
        if timed {
            set_duration(response.headers_mut(), context.started);
        }
        response
    }

    /// A caller may ask for less time than `exec_timeout`, never for more and never for none.
    fn limit(&self, request: &Request<RequestBody>) -> Option<Duration> {
        let limit = self.exec_timeout?;
        let asked = request.headers().get("x-timeout").and_then(|value| value.to_str().ok());
        let asked = asked.and_then(parse_go_duration).filter(|asked| !asked.is_zero());
        Some(asked.map_or(limit, |asked| asked.min(limit)))
    }

    async fn wait_open(&self) -> Result<(), ForwardError> {
        if *self.open.borrow() {
            return Ok(());
        }
        let mut open = self.open.subscribe();
        match timeout_at(self.patience_ends, open.wait_for(|open| *open)).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(ForwardError::NotListening),
        }
    }
}

impl ForwardError {
    fn status(&self) -> StatusCode {
        match self {
            ForwardError::Timeout | ForwardError::Body(BodyError::ReadTimeout) => StatusCode::GATEWAY_TIMEOUT,
            ForwardError::Body(BodyError::TooLarge) => StatusCode::PAYLOAD_TOO_LARGE,
            ForwardError::Target => StatusCode::BAD_REQUEST,
            ForwardError::Method => StatusCode::METHOD_NOT_ALLOWED,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// The answer of the function's server; its connection goes back to the pool when all of it was read.
pub struct UpstreamBody {
    incoming: Incoming,
    lease: Option<Lease>,
}

impl UpstreamBody {
    pub fn poll_frame(
        &mut self,
        context: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = std::task::ready!(Pin::new(&mut self.incoming).poll_frame(context));
        if frame.is_none() {
            self.give_back();
        }
        Poll::Ready(frame.map(|frame| frame.map_err(BodyError::from)))
    }

    pub fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    pub fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }

    fn give_back(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.give_back();
        }
    }
}

impl Drop for UpstreamBody {
    fn drop(&mut self) {
        if self.incoming.is_end_stream() {
            self.give_back();
        }
    }
}
