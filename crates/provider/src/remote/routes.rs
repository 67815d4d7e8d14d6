//! Routes of a far side: it announces nothing, so it is asked, and every function has one endpoint: its URL there.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use model::{FunctionId, FunctionStatus};

use super::Remote;
use crate::{Endpoint, Provider, ProviderError, Route};

/// How often a function that was woken is looked at until it is up.
const WAKING_INTERVAL: Duration = Duration::from_millis(100);

pub(super) struct Watch(Arc<Remote>);

impl Remote {
    pub(super) fn publish(&self, status: FunctionStatus) {
        let id = status.spec.id.clone();
        let known = self.routes.get(&id);
        // The endpoint stays the same object, so that what is in flight stays counted.
        let endpoints = match known.map(|route| Arc::clone(&route.endpoints)) {
            _ if status.available == 0 => Arc::default(),
            Some(endpoints) if !endpoints.is_empty() => endpoints,
            _ => Arc::from([Arc::new(Endpoint::new(id.to_string(), Arc::new(self.clone())))]),
        };
        let route = Route::new(&status.spec, status.replicas, endpoints);
        self.routes.publish(Route { ready: status.available, ..route });
    }
}

impl Watch {
    pub fn new(remote: Arc<Remote>) -> Self {
        Self(remote)
    }

    pub async fn run(self, interval: Duration) {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            match self.refresh().await {
                Ok(waking) if waking => ticks.reset_after(WAKING_INTERVAL.min(interval)),
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(error = error.chain(), "failed to ask the provider for its functions")
                }
            }
        }
    }

    /// Asks for everything once; true when some function is on its way up.
    async fn refresh(&self) -> Result<bool, ProviderError> {
        let mut seen: HashSet<FunctionId> = HashSet::new();
        let mut waking = false;
        for namespace in self.0.namespaces().await? {
            for mut status in self.0.list(&namespace).await? {
                // Some providers' lists leave out what is available; their answer for one function tells it.
                if status.available == 0 && status.replicas > 0 {
                    status = match self.0.get(&status.spec.id).await {
                        Err(ProviderError::NotFound { .. }) => continue,
                        found => found?,
                    };
                }
                waking |= status.available == 0 && status.replicas > 0;
                seen.insert(status.spec.id.clone());
                self.0.publish(status);
            }
        }
        for route in self.0.routes.snapshot() {
            if !seen.contains(&route.id) {
                self.0.routes.retract(&route.id);
            }
        }
        Ok(waking)
    }
}
