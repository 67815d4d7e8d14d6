//! What the binary decides for the gateway.

use std::fmt;
use std::time::Duration;

use model::{Namespace, VersionInfo};

use crate::exchange::Observers;
use crate::metrics::Collectors;
use crate::{Challenges, Domains};

/// Descriptors that are neither a caller's nor a replica's connection: listeners, logs, files of the provider.
const DESCRIPTORS_KEPT: usize = 256;

#[derive(Debug, Clone)]
pub struct Config {
    /// Who may use `/system/` and `/ui/`; nobody is asked when there is none.
    pub auth: Option<Credentials>,
    /// Where functions live when nobody says.
    pub namespace: Namespace,
    /// Hosts and paths that lead to functions.
    pub domains: Domains,
    /// What is answered to an ACME server.
    pub challenges: Challenges,
    /// How long the head of a request may take to come, idle time between requests included; also the body of a
    /// management request, and each silence of a call's body.
    pub read_timeout: Duration,
    /// How long a client may take none of what is sent to it.
    pub write_timeout: Duration,
    /// From a connection to the end of its TLS handshake.
    pub handshake_timeout: Duration,
    /// TLS handshakes under way at once; more wait for a place, within the same time.
    pub handshakes_max: usize,
    /// From a replica's being chosen to the head of its answer, and between two frames of the answer.
    pub upstream_timeout: Duration,
    /// How long a call waits for the first replica to come up.
    pub activation_timeout: Duration,
    /// Whether a call wakes a function that has no replica.
    pub scale_from_zero: bool,
    /// Calls under way at once; more are answered 429.
    pub calls_max: usize,
    /// Connections of clients at once; more wait to be accepted.
    pub connections_max: usize,
    /// Largest head of a request, bytes.
    pub head_max: usize,
    /// Largest body of a management request, bytes.
    pub json_max: usize,
    /// Largest body of a call, bytes; a function's annotation beats it. None is held whole, so it need not be bounded.
    pub body_max: Option<u64>,
    /// Threads that serve connections; zero is one.
    pub workers: usize,
    /// Between saying that it is not ready and accepting no more: as long as a load balancer takes to hear of it.
    pub drain_delay: Duration,
    /// How long an idle connection stays open when draining begins: its client may be about to send a request, and is
    /// answered with `Connection: close`.
    pub drain_grace: Duration,
    pub version: VersionInfo,
    /// Who is told of each request.
    pub observers: Observers,
    /// What else stands on the metrics page.
    pub collectors: Collectors,
}

#[derive(Clone)]
pub struct Credentials {
    pub user: String,
    pub password: String,
}

impl Config {
    /// Lowers the bounds to what `descriptors` (`RLIMIT_NOFILE`) can carry: a call holds two, a client one.
    pub fn within_descriptors(mut self, descriptors: usize) -> Self {
        let share = descriptors.saturating_sub(DESCRIPTORS_KEPT).max(64) / 5;
        self.calls_max = self.calls_max.min(share * 2);
        self.connections_max = self.connections_max.min(share * 3);
        self
    }
}

impl Default for Config {
    fn default() -> Self {
        let minute = Duration::from_secs(60);
        Self {
            auth: None,
            namespace: Namespace::default(),
            domains: Domains::default(),
            challenges: Challenges::default(),
            read_timeout: minute,
            write_timeout: minute,
            handshake_timeout: Duration::from_secs(10),
            handshakes_max: 1024,
            upstream_timeout: minute,
            activation_timeout: minute,
            scale_from_zero: true,
            calls_max: 10_000,
            connections_max: 15_000,
            head_max: 256 * 1024,
            json_max: 1024 * 1024,
            body_max: None,
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            drain_delay: Duration::ZERO,
            drain_grace: Duration::from_secs(1),
            version: VersionInfo {
                release: env!("CARGO_PKG_VERSION").into(),
                sha: "unknown".into(),
                commit_message: None,
            },
            observers: Observers::default(),
            collectors: Collectors::default(),
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_fit_the_descriptors() {
        let check = |descriptors: usize, calls: usize, connections: usize| {
            let config = Config::default().within_descriptors(descriptors);
            assert_eq!((config.calls_max, config.connections_max), (calls, connections), "{descriptors}");
        };
        check(1_048_576, 10_000, 15_000);
        check(1024, 306, 459);
        check(0, 24, 36);
    }

    #[test]
    fn a_password_is_not_shown() {
        let shown = format!("{:?}", Credentials { user: "admin".into(), password: "s3cret".into() });
        assert!(shown.contains("admin") && !shown.contains("s3cret"), "{shown}");
    }
}
