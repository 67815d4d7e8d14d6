//! What outlives the connection that asked for it, and the runtime that it all runs on.

use std::future::Future;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

/// The runtime that the gateway was made on: connections live on threads of their own, which end with the server, and
/// which nothing slow is to hold up.
#[derive(Debug, Clone)]
pub(crate) struct Tasks {
    runtime: Handle,
    tracker: TaskTracker,
    ending: CancellationToken,
}

impl Tasks {
    /// # Panics
    ///
    /// Outside of a runtime.
    pub fn new() -> Self {
        Self { runtime: Handle::current(), tracker: TaskTracker::new(), ending: CancellationToken::new() }
    }

    /// Runs to its end although whoever asked for it may leave.
    pub fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.tracker.spawn_on(task, &self.runtime)
    }

    /// Runs on the same runtime for as long as somebody waits for it.
    pub fn lend<F>(&self, task: F) -> AbortOnDropHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        AbortOnDropHandle::new(self.runtime.spawn(task))
    }

    /// Tells what would go on for ever that the server ends.
    pub fn end(&self) {
        self.ending.cancel();
    }

    /// Until it is told.
    pub fn ending(&self) -> impl Future<Output = ()> + Send + 'static {
        self.ending.clone().cancelled_owned()
    }

    /// Until all that was spawned has ended.
    pub async fn wait(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }
}
