//! The front door: serves any [`Provider`] as the OpenFaaS-compatible REST API, and calls its functions.
//!
//! It names no backend. The whole contract is in `router`; the way of a call is in `invoke`; what an error becomes is in
//! `error`.

mod auth;
mod body;
mod config;
mod error;
mod flight;
mod front;
mod function;
mod headers;
mod invoke;
mod metrics;
mod router;
mod server;
mod stall;
mod system;

use std::sync::Arc;

use provider::{Invoke, Provider};
use tokio_util::task::TaskTracker;

use auth::Auth;
use invoke::Pipeline;
use metrics::Metrics;

pub use config::{Config, Credentials};

/// One platform's front door. Clones are the same one.
#[derive(Clone)]
pub struct Gateway(Arc<Inner>);

struct Inner {
    config: Config,
    auth: Option<Auth>,
    provider: Arc<dyn Provider>,
    pipeline: Arc<Pipeline>,
    metrics: Arc<Metrics>,
    /// What must be done to its end although the client that asked for it may leave.
    tasks: TaskTracker,
}

impl Gateway {
    pub fn new(provider: Arc<dyn Provider>, config: Config) -> Self {
        let metrics = Arc::new(Metrics::new(provider.routes()));
        let tasks = TaskTracker::new();
        let pipeline = Pipeline::new(Arc::clone(&provider), Arc::clone(&metrics), &config, tasks.clone());
        let auth = config.auth.as_ref().map(Auth::new);
        Self(Arc::new(Inner { config, auth, provider, pipeline: Arc::new(pipeline), metrics, tasks }))
    }

    /// The way of a call, for callers inside the process.
    pub fn invoke(&self) -> Arc<dyn Invoke> {
        Arc::clone(&self.0.pipeline) as Arc<dyn Invoke>
    }
}
