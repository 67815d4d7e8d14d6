//! Whether a replica takes calls yet.

use std::time::Duration;

use http::StatusCode;
use model::{CallLimits, FunctionSpec, Protocol};
use tokio::time::{Instant, sleep, timeout};

use crate::client::Client;

/// Overrides the path; whoever sets it means it: only success counts then.
pub const PATH_ANNOTATION: &str = "com.openfaas.health.http.path";
const PATH: &str = "/_/health";
const PATH_BYTES_MAX: usize = 2048;

/// Most replicas are up within 20 ms, and a cold start waits for every millisecond here.
const POLL_FIRST: Duration = Duration::from_millis(1);
const POLL_FIRST_FOR: Duration = Duration::from_millis(50);
const POLL_MAX: Duration = Duration::from_millis(200);
const ANSWER_TIME_MAX: Duration = Duration::from_secs(2);

/// How a replica is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    protocol: Protocol,
    path: String,
    strict: bool,
}

impl Probe {
    /// Fails with the reason when an annotation is not what it is for.
    pub fn of(spec: &FunctionSpec) -> Result<Probe, String> {
        let protocol = CallLimits::parse(&spec.annotations).map_err(|error| error.to_string())?.protocol;
        let Some(path) = spec.annotations.get(PATH_ANNOTATION) else {
            return Ok(Probe { protocol, path: PATH.to_owned(), strict: false });
        };
        let is_path =
            path.starts_with('/') && path.len() <= PATH_BYTES_MAX && path.parse::<http::Uri>().is_ok();
        if !is_path {
            return Err(format!(
                "annotation {PATH_ANNOTATION}: {path:?} is no path, write one like /healthz"
            ));
        }
        Ok(Probe { protocol, path: path.clone(), strict: true })
    }

    /// What the replica speaks.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Returns when the replica takes calls; never, if it never does.
    pub async fn ready(&self, client: &Client) {
        let begun = Instant::now();
        let mut pause = POLL_FIRST;
        while !self.ask(client).await {
            sleep(pause).await;
            if begun.elapsed() > POLL_FIRST_FOR {
                pause = (pause * 3 / 2).min(POLL_MAX);
            }
        }
    }

    async fn ask(&self, client: &Client) -> bool {
        let asked = async {
            match client {
                // A gRPC server knows no path: that it has told its settings is all that can be asked of it.
                Client::Http2(client) if !self.strict => client.reach().await.is_ok(),
                client => client.get(&self.path).await.is_some_and(|status| self.accepts(status)),
            }
        };
        timeout(ANSWER_TIME_MAX, asked).await.unwrap_or(false)
    }

    /// An image without a watchdog knows nothing of our path: any answer that is no failure shows that it listens.
    fn accepts(&self, status: StatusCode) -> bool {
        if self.strict { status.is_success() || status.is_redirection() } else { !status.is_server_error() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(path: Option<&str>) -> FunctionSpec {
        let id = model::FunctionId::parse("f", &model::Namespace::default()).unwrap();
        let mut spec = FunctionSpec::new(id, "alpine".parse().unwrap());
        spec.annotations.extend(path.map(|path| (PATH_ANNOTATION.to_owned(), path.to_owned())));
        spec
    }

    #[test]
    fn a_custom_path_must_succeed_and_ours_must_not_fail() {
        let check = |path: Option<&str>, status: u16, ready: bool| {
            let probe = Probe::of(&spec(path)).unwrap();
            assert_eq!(probe.accepts(StatusCode::from_u16(status).unwrap()), ready, "{path:?} {status}");
        };
        check(None, 200, true);
        check(None, 404, true);
        check(None, 503, false);
        check(Some("/up"), 204, true);
        check(Some("/up"), 302, true);
        check(Some("/up"), 404, false);
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for path in ["", "up", "http://other/", "/a b", "/\n"] {
            assert!(Probe::of(&spec(Some(path))).is_err(), "{path:?}");
        }
    }
}
