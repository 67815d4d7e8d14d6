//! Follows a request to the end of its answer, and tells then.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use futures_util::future::Either;
use http::{Method, Request, Response};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use provider::{Body, CallId};

use super::{Exchange, Marks, Observers, facts};
use crate::body::{Answer, BrokenOff};
use crate::headers::CALL_ID;
use crate::peer::Peer;
use crate::trace::{Parent, SpanId, TRACEPARENT, TraceId, Traced, Tracer, parent, traceparent};
use crate::{Config, Inner, front};

const TRACESTATE: &str = "tracestate";
/// Longest `tracestate` that must be kept (W3C Trace Context, section 3.3.1.5).
const STATE_MAX: usize = 512;

/// Answers a request to the API, and tells whoever is to be told.
pub(crate) fn answer(
    gateway: Arc<Inner>,
    mut request: Request<Incoming>,
    peer: Arc<Peer>,
) -> impl Future<Output = Response<Answer>> {
    let observers = &gateway.config.observers;
    if observers.is_empty() {
        return Either::Left(front::answer(gateway, request, peer));
    }
    let watch = Watch::begin(&gateway, &mut request, &peer);
    let answer = front::answer(gateway, request, peer);
    Either::Right(Box::pin(async move { watch.answered(answer.await) }))
}

/// Tells when it is dropped: at the end of the answer, when it breaks off, or when the client leaves.
struct Watch {
    observers: Observers,
    begun: Instant,
    marks: Marks,
    /// Gone when it was told.
    exchange: Option<Box<Exchange>>,
}

impl Watch {
    fn begin(gateway: &Inner, request: &mut Request<Incoming>, peer: &Peer) -> Self {
        let begun = Instant::now();
        let marks = Marks::new(begun);
        let parent = parent(request.headers());
        let Config { observers, domains, .. } = &gateway.config;
        let is_call = facts::called(request.uri().path()).is_some() || domains.find(request).is_some();
        if is_call && request.headers().get(CALL_ID).and_then(CallId::kept).is_none() {
            // The same as the call would be given, but known here.
            request.headers_mut().insert(CALL_ID, CallId::random().as_header().clone());
        }
        let mut exchange = facts::of(request, peer, parent.as_ref());
        if let Some(tracer) = observers.tracer.as_deref().filter(|_| is_call) {
            let (trace, traced) = trace(tracer, request, parent);
            (exchange.trace_id, exchange.traced) = (Some(trace), traced);
        }
        request.extensions_mut().insert(marks.clone());
        Self { observers: observers.clone(), begun, marks, exchange: Some(Box::new(exchange)) }
    }

    fn answered(mut self, response: Response<Answer>) -> Response<Answer> {
        if let Some(exchange) = &mut self.exchange {
            exchange.status = response.status().as_u16();
        }
        response.map(|answer| {
            let bodiless = self.exchange.as_ref().is_some_and(|exchange| exchange.method == Method::HEAD);
            let mut watched = Watched { answer, watch: self };
            // Nothing of it will be asked for.
            if bodiless || watched.answer.is_end_stream() {
                watched.end();
            }
            Answer::from(Body::boxed(watched))
        })
    }

    fn tell(&mut self) {
        let Some(mut exchange) = self.exchange.take() else { return };
        let (function, legs) = self.marks.take();
        exchange.took = self.begun.elapsed();
        exchange.legs = legs;
        if let Some(function) = function {
            exchange.function = Some(function.to_string());
        }
        let exchange: Arc<Exchange> = exchange.into();
        if let Some(tracer) = self.observers.tracer.as_ref().filter(|_| exchange.traced.is_some()) {
            tracer.record(Arc::clone(&exchange));
        }
        if let Some(log) = &self.observers.access_log {
            log.write(exchange);
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.tell();
    }
}

/// Gives the call its place in a trace, and tells the function of it. What is not recorded still tells those behind it
/// so, lest each decide for itself; a caller's word is passed on as it is.
fn trace(
    tracer: &dyn Tracer,
    request: &mut Request<Incoming>,
    parent: Option<Parent>,
) -> (TraceId, Option<Traced>) {
    let trace = parent.map_or_else(TraceId::random, |parent| parent.trace);
    let headers = request.headers_mut();
    if parent.is_none() {
        // It belongs to a parent that is not there, or cannot be read.
        headers.remove(TRACESTATE);
    }
    let (span, upstream) = (SpanId::random(), SpanId::random());
    if !tracer.samples(trace, parent.as_ref()) {
        if parent.is_none() {
            headers.insert(TRACEPARENT, traceparent(trace, span, false));
        }
        return (trace, None);
    }
    headers.insert(TRACEPARENT, traceparent(trace, upstream, true));
    let states: Vec<_> = headers.get_all(TRACESTATE).iter().filter_map(|state| state.to_str().ok()).collect();
    let state = Some(states.join(",")).filter(|state| (1..=STATE_MAX).contains(&state.len()));
    (trace, Some(Traced { trace, span, upstream, parent, state }))
}

/// An answer that is followed to its end.
struct Watched {
    answer: Answer,
    watch: Watch,
}

impl Watched {
    fn end(&mut self) {
        if let Some(exchange) = &mut self.watch.exchange {
            exchange.complete = true;
        }
        self.watch.tell();
    }
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let watched = self.get_mut();
        let polled = Pin::new(&mut watched.answer).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let (Some(data), Some(exchange)) = (frame.data_ref(), &mut watched.watch.exchange) {
                    exchange.response_bytes += data.len() as u64;
                }
                // The server asks for nothing behind a frame that it knows to be the last.
                if watched.answer.is_end_stream() {
                    watched.end();
                }
            }
            Poll::Ready(None) => watched.end(),
            Poll::Ready(Some(Err(_))) => watched.watch.tell(),
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.answer.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.answer.size_hint()
    }
}
