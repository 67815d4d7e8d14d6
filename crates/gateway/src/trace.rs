//! Traces across services: the context of W3C Trace Context (Level 1), and what the gateway tells a tracer.
//!
//! The gateway decides nothing about sampling and sends nothing anywhere: whoever is given as [`Tracer`] does. A request
//! that is not traced keeps the `traceparent` and `tracestate` that it came with.

mod context;

use std::sync::Arc;

use crate::exchange::Exchange;

pub use context::{Parent, SpanId, TraceId};
pub(crate) use context::{TRACEPARENT, parent, traceparent};

/// Decides which calls are traced, and is given them when they have ended.
pub trait Tracer: Send + Sync + 'static {
    /// Whether a call is to be recorded. `parent` is what its caller says of the trace that it belongs to.
    fn samples(&self, trace: TraceId, parent: Option<&Parent>) -> bool;

    /// A call that is recorded has ended. Must not wait for anything: it is on the way of calls.
    fn record(&self, exchange: Arc<Exchange>);
}

/// The place of a recorded call in its trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traced {
    pub trace: TraceId,
    /// The call's own span.
    pub span: SpanId,
    /// The span of the leg to the replica, which the function sees as its parent.
    pub upstream: SpanId,
    /// The caller's span, if it told.
    pub parent: Option<Parent>,
    /// `tracestate` as it came, which is passed on as it is.
    pub state: Option<String>,
}
