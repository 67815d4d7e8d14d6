//! Forward: one replica gets the call, within its time.

use std::sync::Arc;
use std::time::Duration;

use http::header::USER_AGENT;
use http::{HeaderValue, Response};
use provider::{Body, Call, Endpoint, InFlight, InvokeError, Progress, Route};

use crate::Config;
use crate::alarm::timeout;

/// An answer whose body may still be on its way, the replica's count of it, and the request's body where it is long.
pub(super) type Answered = (Response<Body>, InFlight, Option<Progress>);

pub(super) struct Forward {
    user_agent: HeaderValue,
    timeout: Duration,
}

impl Forward {
    pub fn new(config: &Config) -> Self {
        let user_agent = HeaderValue::from_str(&format!("minke-gateway/{}", config.version.release));
        Self {
            user_agent: user_agent.unwrap_or(HeaderValue::from_static("minke-gateway")),
            timeout: config.upstream_timeout,
        }
    }

    /// How long the head may take, and each silence of the body.
    pub fn timeout(&self, route: &Route) -> Duration {
        route.limits.timeout.unwrap_or(self.timeout)
    }

    pub async fn send(
        &self,
        route: &Route,
        endpoint: &Arc<Endpoint>,
        mut call: Box<Call>,
    ) -> Result<Answered, InvokeError> {
        call.request.headers_mut().entry(USER_AGENT).or_insert_with(|| self.user_agent.clone());
        let in_flight = endpoint.begin();
        let patience = self.timeout(route);
        let mut upload = call.request.body_mut().watch();
        let mut answer = endpoint.invoke(*call);
        loop {
            match timeout(patience, answer.as_mut()).await {
                Ok(response) => return Ok((response?, in_flight, upload)),
                // It may be about to answer, when all of it is there.
                Err(_) if upload.as_mut().is_some_and(Progress::is_moving) => {}
                Err(_) => return Err(InvokeError::Timeout(patience)),
            }
        }
    }
}
