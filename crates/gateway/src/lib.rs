//! The front door: serves any [`Provider`] as the OpenFaaS-compatible REST API, and calls its functions.
//!
//! It names no backend. The whole contract is in `router`; the way of a call is in `invoke`; what an error becomes is in
//! `error`.

mod access;
mod alarm;
mod auth;
mod body;
mod challenges;
mod config;
mod domains;
mod doubt;
mod error;
mod exchange;
mod flight;
mod front;
mod function;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod headers;
mod invoke;
mod metrics;
mod openapi;
mod peer;
mod router;
mod server;
mod stall;
mod system;
mod tasks;
mod trace;
mod tunnel;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use provider::{Invoke, Provider};

use auth::Auth;
use invoke::Pipeline;
use metrics::Metrics;
use tasks::Tasks;

pub use access::{AccessFormat, AccessLog};
pub use challenges::{Answering, Challenges};
pub use config::{Config, Credentials};
pub use domains::{DomainError, DomainRule, Domains};
pub use exchange::{Exchange, Leg, LegKind, Observers};
pub use metrics::{Collect, Collected, Collectors};
pub use server::{Listeners, TlsListener};
pub use trace::{Parent, SpanId, TraceId, Traced, Tracer};

/// One platform's front door. Clones are the same one.
#[derive(Clone)]
pub struct Gateway(Arc<Inner>);

struct Inner {
    config: Config,
    auth: Option<Auth>,
    provider: Arc<dyn Provider>,
    pipeline: Arc<Pipeline>,
    metrics: Arc<Metrics>,
    tasks: Tasks,
    /// It is to end, and asks not to be sent more.
    ending: AtomicBool,
}

impl Gateway {
    /// # Panics
    ///
    /// Outside of a runtime: the provider is asked, and changed, on the one that this is called on.
    pub fn new(provider: Arc<dyn Provider>, config: Config) -> Self {
        let metrics =
            Arc::new(Metrics::new(provider.routes(), config.version.clone(), config.collectors.clone()));
        let tasks = Tasks::new();
        let pipeline = Pipeline::new(Arc::clone(&provider), Arc::clone(&metrics), &config, tasks.clone());
        let ending = AtomicBool::new(false);
        let auth = config.auth.as_ref().map(Auth::new);
        Self(Arc::new(Inner { config, auth, provider, pipeline: Arc::new(pipeline), metrics, tasks, ending }))
    }

    /// The way of a call, for callers inside the process.
    pub fn invoke(&self) -> Arc<dyn Invoke> {
        Arc::clone(&self.0.pipeline) as Arc<dyn Invoke>
    }
}
