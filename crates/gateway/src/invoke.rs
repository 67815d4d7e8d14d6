//! The way of a call, stage by stage.

mod activate;
mod admit;
mod balance;
mod forward;
mod lookup;

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use http::Response;
use provider::{Body, Call, Invoke, InvokeError, Provider, Route};

use crate::Config;
use crate::body::Answer;
use crate::error::invoke_status;
use crate::exchange::{Marks, Stage};
use crate::metrics::{Metrics, Observation};
use crate::tasks::Tasks;
use activate::Activation;
use admit::Admission;
use balance::Tried;
use forward::Forward;
use lookup::Lookup;

pub(crate) use admit::Permit;

pub(crate) struct Pipeline {
    admission: Arc<Admission>,
    lookup: Lookup,
    activation: Activation,
    forward: Forward,
    metrics: Arc<Metrics>,
}

impl Pipeline {
    pub fn new(provider: Arc<dyn Provider>, metrics: Arc<Metrics>, config: &Config, tasks: Tasks) -> Self {
        Self {
            admission: Admission::new(config.calls_max, config.body_max),
            lookup: Lookup::new(Arc::clone(&provider), config.namespace.clone(), tasks.clone()),
            activation: Activation::new(provider, config, tasks),
            forward: Forward::new(config),
            metrics,
        }
    }

    /// Answers a call; what it holds (its permit, its place at the replica) rides in the answer's body. The call is
    /// boxed because each stage's future would hold a copy of it.
    pub async fn answer(&self, mut call: Box<Call>) -> Result<Response<Answer>, InvokeError> {
        let mut permit = self.admission.enter()?;
        let route = self.lookup.find(&call.function).await?;
        let mut observation = self.metrics.observe(&route.id);
        Marks::of(call.request.extensions()).function(&route.id);
        let idle_timeout = self.forward.timeout(&route);
        let reached = match permit.admit(&route, &mut call) {
            Ok(()) => self.reach(route, call, &observation).await,
            Err(refused) => Err(refused),
        };
        match reached {
            Ok((response, in_flight, upload)) => {
                observation.answered(response.status());
                let held = (permit, in_flight, observation);
                Ok(response.map(|body| Answer::streaming(body, (idle_timeout, upload), held)))
            }
            Err(error) => {
                observation.answered(invoke_status(&error));
                Err(error)
            }
        }
    }

    /// Tries replicas until one takes the call: nothing of it was sent to the ones before.
    async fn reach(
        &self,
        mut route: Arc<Route>,
        mut call: Box<Call>,
        observation: &Observation,
    ) -> Result<forward::Answered, InvokeError> {
        let marks = Marks::of(call.request.extensions());
        let mut tried = Tried::default();
        loop {
            if route.endpoints.is_empty() {
                let begun = Instant::now();
                marks.begin(|| Stage::Activation);
                route = self.activation.awake(route).await?;
                marks.end();
                observation.cold(begun.elapsed());
            }
            let Some(endpoint) = balance::pick(&route.endpoints, &tried) else {
                return Err(tried.into_error());
            };
            marks.begin(|| Stage::Upstream { replica: endpoint.replica().to_owned() });
            match self.forward.send(&route, endpoint, call).await {
                Err(InvokeError::Connect { function, call: Some(unsent), source }) if tried.may_go_on() => {
                    tracing::debug!(function = %function, replica = endpoint.replica(), error = %source, "a replica is not reached");
                    tried.add(endpoint, InvokeError::Connect { function, call: None, source });
                    call = unsent;
                    // It may have gone while scaling or an update replaced it.
                    route = self.lookup.find(&route.id).await?;
                }
                outcome => return outcome,
            }
        }
    }

    /// Forgets that a function was not found.
    pub fn expect(&self, id: &model::FunctionId) {
        self.lookup.expect(id);
    }
}

#[async_trait]
impl Invoke for Pipeline {
    async fn invoke(&self, call: Call) -> Result<Response<Body>, InvokeError> {
        Ok(self.answer(Box::new(call)).await?.map(Body::boxed))
    }
}
