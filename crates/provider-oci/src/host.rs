//! What all replicas of this host share: the launcher, and the bounds on using it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, Notify, Semaphore};
use tokio_util::task::TaskTracker;

use crate::launcher::{Cgroups, Launcher, LauncherConfig, LauncherError};
use crate::secrets::Secrets;

/// Containers built at once; each build is one process that computes.
const STARTS_PER_CORE: usize = 2;
/// At once, of all functions.
const LOG_WRITES_MAX: usize = 4;

/// Of the platform, for each replica: the network namespace and what its process writes.
const DESCRIPTORS_PER_REPLICA: u64 = 3;

pub struct Host {
    /// Replicas that may be wished for, of all functions.
    pub replicas_max: u64,
    pub grace: Duration,
    /// Connections kept to one replica.
    pub idle_max: usize,
    pub starts: Semaphore,
    pub tasks: TaskTracker,
    /// Told when an image may have lost its last user.
    pub images_freed: Notify,
    pub secrets: Arc<Secrets>,
    /// Taken for each write to a log; whoever waits comes in turn.
    pub log_writes: Arc<Semaphore>,
    pub cgroups: Arc<Cgroups>,
    config: LauncherConfig,
    launcher: Mutex<Launcher>,
}

impl Host {
    pub async fn connect(
        config: LauncherConfig,
        grace: Duration,
        idle_max: usize,
        secrets: Arc<Secrets>,
    ) -> Result<Host, LauncherError> {
        let launcher = Launcher::connect(&config).await?;
        let cgroups = Cgroups::find(&config.cgroup)?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        Ok(Host {
            replicas_max: replicas_max(descriptors),
            grace,
            idle_max,
            starts: Semaphore::new(cores * STARTS_PER_CORE),
            tasks: TaskTracker::new(),
            images_freed: Notify::new(),
            secrets,
            log_writes: Arc::new(Semaphore::new(LOG_WRITES_MAX)),
            cgroups: Arc::new(cgroups),
            config,
            launcher: Mutex::new(launcher),
        })
    }

    /// Ends the launcher, and waits until nothing of it is left.
    pub async fn close(&self) {
        self.launcher.lock().await.close().await;
    }

    /// The launcher, or a new one where it is gone: its containers went with it, and their keepers know.
    pub async fn launcher(&self) -> Result<Launcher, LauncherError> {
        let mut launcher = self.launcher.lock().await;
        if launcher.is_gone() {
            tracing::error!("launcher is gone, a new one is started");
            *launcher = Launcher::connect(&self.config).await?;
        }
        Ok(launcher.clone())
    }
}

/// Half of the descriptors are for calls, and for replicas that serve until their successors do.
fn replicas_max(descriptors: Option<u64>) -> u64 {
    descriptors.map_or(u64::MAX, |descriptors| descriptors / 2 / DESCRIPTORS_PER_REPLICA)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_bound_the_replicas() {
        assert_eq!(replicas_max(Some(1024)), 170);
        assert_eq!(replicas_max(Some(0)), 0);
        assert_eq!(replicas_max(None), u64::MAX);
    }
}
