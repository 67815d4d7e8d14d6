//! Activate: a function without a replica is scaled up once, however many calls wait for it.

use std::sync::Arc;
use std::time::Duration;

use model::FunctionId;
use provider::{InvokeError, Provider, ProviderError, Route, RouteTable};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};

use super::lookup::{lost, shared};
use crate::Config;
use crate::flight::{Flights, NoFlight};
use crate::tasks::Tasks;

/// Functions that may be on their way up at once.
const WAKING_MAX: usize = 1024;
/// How often a provider that announces nothing is asked whether a replica is up.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

type Woken = Result<(), Arc<ProviderError>>;

pub(super) struct Activation {
    provider: Arc<dyn Provider>,
    routes: Arc<RouteTable>,
    waking: Flights<FunctionId, Woken>,
    timeout: Duration,
    scale_from_zero: bool,
}

impl Activation {
    pub fn new(provider: Arc<dyn Provider>, config: &Config, tasks: Tasks) -> Self {
        Self {
            routes: provider.routes(),
            provider,
            waking: Flights::new(WAKING_MAX, tasks),
            timeout: config.activation_timeout,
            scale_from_zero: config.scale_from_zero,
        }
    }

    /// The route with at least one endpoint.
    pub async fn awake(&self, route: Arc<Route>) -> Result<Arc<Route>, InvokeError> {
        if !route.endpoints.is_empty() {
            return Ok(route);
        }
        if !self.scale_from_zero {
            return Err(InvokeError::NoEndpoints(route.id.clone()));
        }
        Box::pin(self.wake(&route)).await
    }

    async fn wake(&self, route: &Arc<Route>) -> Result<Arc<Route>, InvokeError> {
        let id = &route.id;
        let deadline = Instant::now() + self.timeout;
        let mut states = self.routes.subscribe(id).ok_or_else(|| InvokeError::NotFound(id.clone()))?;
        while Instant::now() < deadline {
            let begin = || {
                let (up, id) = (bring_up(Arc::clone(&self.provider), id.clone(), deadline), id.clone());
                async move {
                    up.await.inspect_err(|error| {
                        tracing::warn!(function = %id, error = error.chain(), "failed to wake a function");
                    })
                }
            };
            let flight = self.waking.join(id, begin);
            tokio::select! {
                biased;
                up = until_up(&mut states, id) => return up,
                landed = timeout_at(deadline, flight) => match landed {
                    Err(_) => return Err(InvokeError::NoEndpoints(id.clone())),
                    Ok(Err(NoFlight::TooMany)) => return Err(InvokeError::Overloaded),
                    Ok(Err(NoFlight::Lost)) => return Err(lost("scale the function up")),
                    Ok(Ok(Err(error))) if matches!(*error, ProviderError::NotFound { .. }) => {
                        return Err(InvokeError::NotFound(id.clone()));
                    }
                    Ok(Ok(Err(error))) => return Err(shared("scale the function up", &error)),
                    // A flight that an earlier call began ends at that call's deadline.
                    Ok(Ok(Ok(()))) => {}
                },
            }
        }
        Err(InvokeError::NoEndpoints(id.clone()))
    }
}

async fn until_up(
    states: &mut watch::Receiver<Arc<Route>>,
    id: &FunctionId,
) -> Result<Arc<Route>, InvokeError> {
    match states.wait_for(|route| !route.endpoints.is_empty()).await {
        Ok(route) => Ok(Arc::clone(&route)),
        Err(_) => Err(InvokeError::NotFound(id.clone())),
    }
}

/// Scales up when nothing is wished for, then looks until there is an endpoint, or the deadline.
async fn bring_up(provider: Arc<dyn Provider>, id: FunctionId, deadline: Instant) -> Woken {
    let mut wished = false;
    while Instant::now() < deadline {
        let route = provider.resolve(&id).await.map_err(Arc::new)?;
        let route = route.ok_or_else(|| Arc::new(ProviderError::function_not_found(&id)))?;
        if !route.endpoints.is_empty() {
            break;
        }
        // Put to rest again, by a sweep or a user: whoever still waits begins anew.
        if route.desired == 0 && wished {
            break;
        }
        if route.desired == 0 {
            tracing::info!(function = %id, replicas = route.activate_to, "waking a function");
            provider.scale(&id, route.activate_to.max(1)).await.map_err(Arc::new)?;
            wished = true;
            continue;
        }
        sleep(LOOK_INTERVAL).await;
    }
    Ok(())
}
