//! The platform's handle on its launcher.

use std::collections::HashMap;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::fs::MemfdFlags;
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{oneshot, watch};

use super::cgroup::CgroupError;
use super::wire::{self, Event, Request};
use super::{CHILD, LauncherConfig};
use crate::container::{ContainerSpec, ContainerSpecError, Exit};

/// Longer than a launcher waits for its predecessor and sweeps what that left.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(60);

#[derive(Debug, thiserror::Error)]
pub enum LauncherError {
    #[error("failed to start the launcher")]
    Spawn(#[source] std::io::Error),
    #[error("launcher cannot work: {0}")]
    Unable(String),
    #[error("launcher is gone")]
    Gone,
    #[error("failed to speak to the launcher")]
    Speak(#[source] std::io::Error),
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    #[error(transparent)]
    Spec(#[from] ContainerSpecError),
    #[error("launcher was not ready within {} s, see whether another one still ends or the disk is slow", .0.as_secs())]
    Slow(Duration),
    #[error(
        "container {0} was stopped, too many files are open to reach it; raise the limit on open files (ulimit -n)"
    )]
    TooManyFiles(String),
    #[error("container {id} did not start: {reason}")]
    NotStarted { id: String, reason: String },
}

/// A launcher process. Clones share it; when the last one is dropped, it ends with all its containers.
#[derive(Clone)]
pub struct Launcher {
    link: Arc<Link>,
}

struct Link {
    socket: Arc<AsyncFd<OwnedFd>>,
    containers: Arc<Mutex<Containers>>,
    reader: tokio::task::JoinHandle<()>,
    gone: watch::Receiver<bool>,
}

#[derive(Default)]
struct Containers {
    gone: bool,
    known: HashMap<String, Known>,
}

struct Known {
    started: Option<oneshot::Sender<Result<Started, LauncherError>>>,
    /// Told when nothing is left of it.
    failed: Option<String>,
    phase: watch::Sender<Phase>,
}

struct Started {
    pid: i32,
    netns: OwnedFd,
}

#[derive(Debug, Clone)]
enum Phase {
    Alive,
    Exited(Exit),
    Removed(Exit),
}

/// A container that was started. Dropping it stops the container without grace.
pub struct Container {
    id: String,
    pid: i32,
    netns: Arc<OwnedFd>,
    link: Arc<Link>,
    phase: watch::Receiver<Phase>,
}

impl Launcher {
    /// Starts a launcher from this executable and waits until it has removed what its predecessor left.
    pub async fn connect(config: &LauncherConfig) -> Result<Launcher, LauncherError> {
        let (ours, theirs) = super::server::pair().map_err(LauncherError::Spawn)?;
        let mut child = Reap(spawn(config, theirs).map_err(LauncherError::Spawn)?);
        rustix::io::ioctl_fionbio(&ours, true).map_err(|errno| LauncherError::Spawn(errno.into()))?;
        let socket = Arc::new(register(ours).map_err(LauncherError::Spawn)?);
        let Ok(first) = tokio::time::timeout(CONNECT_TIME_MAX, receive(&socket)).await else {
            let _ = child.0.kill();
            return Err(LauncherError::Slow(CONNECT_TIME_MAX));
        };
        match first {
            Ok(Some((Event::Ready, _))) => (),
            Ok(Some((Event::Unable { reason }, _))) => return Err(LauncherError::Unable(reason)),
            Ok(_) => return Err(LauncherError::Gone),
            Err(error) => return Err(LauncherError::Speak(error)),
        }
        let containers = Arc::new(Mutex::new(Containers::default()));
        let (gone_tx, gone) = watch::channel(false);
        let reader = tokio::spawn(read(Arc::clone(&socket), Arc::clone(&containers), child, gone_tx));
        Ok(Launcher { link: Arc::new(Link { socket, containers, reader, gone }) })
    }

    /// Builds and starts a container; its output goes to the two descriptors. `secrets` holds the bytes of those that
    /// the spec names, one after another.
    pub async fn run(
        &self,
        spec: &ContainerSpec,
        secrets: Option<OwnedFd>,
        stdout: OwnedFd,
        stderr: OwnedFd,
    ) -> Result<Container, LauncherError> {
        spec.check()?;
        let file = spec_file(spec).map_err(LauncherError::Speak)?;
        let (started_tx, started) = oneshot::channel();
        let (phase_tx, phase) = watch::channel(Phase::Alive);
        {
            let mut containers = self.link.lock();
            if containers.gone {
                return Err(LauncherError::Gone);
            }
            let known = Known { started: Some(started_tx), failed: None, phase: phase_tx };
            if containers.known.contains_key(&spec.id) {
                let reason = "a container with this id exists".to_owned();
                return Err(LauncherError::NotStarted { id: spec.id.clone(), reason });
            }
            containers.known.insert(spec.id.clone(), known);
        }
        // From here on a caller that gives up must not leave a container behind.
        let mut guard = StopOnDrop { link: Some(Arc::clone(&self.link)), id: spec.id.clone() };
        let request = Request::Run { id: spec.id.clone(), secrets: secrets.is_some() };
        let mut fds = vec![file.as_fd(), stdout.as_fd(), stderr.as_fd()];
        fds.extend(secrets.as_ref().map(AsFd::as_fd));
        if let Err(error) = self.link.send(&request, &fds).await {
            self.link.lock().known.remove(&spec.id);
            return Err(LauncherError::Speak(error));
        }
        drop((file, secrets, stdout, stderr));
        let outcome = started.await.unwrap_or(Err(LauncherError::Gone));
        // A container that started and cannot be reached is stopped by the guard.
        if !matches!(outcome, Err(LauncherError::TooManyFiles(_))) {
            guard.link = None;
        }
        let Started { pid, netns } = outcome?;
        Ok(Container {
            id: spec.id.clone(),
            pid,
            netns: Arc::new(netns),
            link: Arc::clone(&self.link),
            phase,
        })
    }

    /// Tells the launcher to end with all its containers, and waits until it has removed everything.
    pub async fn close(&self) {
        let _ = rustix::net::shutdown(self.link.socket.get_ref(), rustix::net::Shutdown::Write);
        self.gone().await;
    }

    /// Returns when the launcher process is gone, and with it every container.
    pub async fn gone(&self) {
        let _ = self.link.gone.clone().wait_for(|gone| *gone).await;
    }

    pub fn is_gone(&self) -> bool {
        *self.link.gone.borrow()
    }
}

impl Container {
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Of the container's first process, on the host.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    pub fn netns(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.netns)
    }

    /// Returns when the container's processes have ended.
    pub async fn exited(&self) -> Exit {
        let mut phase = self.phase.clone();
        match phase.wait_for(|phase| !matches!(phase, Phase::Alive)).await.as_deref() {
            Ok(Phase::Exited(exit) | Phase::Removed(exit)) => exit.clone(),
            Ok(Phase::Alive) | Err(_) => Exit::Lost,
        }
    }

    /// Returns when nothing of the container is left on the host.
    pub async fn removed(&self) -> Exit {
        let mut phase = self.phase.clone();
        match phase.wait_for(|phase| matches!(phase, Phase::Removed(_))).await.as_deref() {
            Ok(Phase::Removed(exit)) => exit.clone(),
            Ok(_) | Err(_) => Exit::Lost,
        }
    }

    /// SIGTERM now and SIGKILL after the grace; returns when nothing of the container is left.
    pub async fn stop(&self, grace: Duration) -> Exit {
        let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        // A launcher that is gone took the container with it.
        let _ = self.link.send(&Request::Stop { id: self.id.clone(), grace_ms }, &[]).await;
        self.removed().await
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if matches!(*self.phase.borrow(), Phase::Alive) {
            self.link.stop_now(&self.id);
        }
    }
}

struct StopOnDrop {
    link: Option<Arc<Link>>,
    id: String,
}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        if let Some(link) = &self.link {
            link.stop_now(&self.id);
        }
    }
}

impl Link {
    fn lock(&self) -> MutexGuard<'_, Containers> {
        lock(&self.containers)
    }

    async fn send(&self, request: &Request, fds: &[std::os::fd::BorrowedFd<'_>]) -> std::io::Result<()> {
        self.socket.async_io(Interest::WRITABLE, |socket| Ok(wire::send(socket, request, fds)?)).await
    }

    /// For where nobody can wait: a launcher that does not listen keeps the container until it or we are gone.
    fn stop_now(&self, id: &str) {
        let request = Request::Stop { id: id.to_owned(), grace_ms: 0 };
        if let Err(errno) = wire::send(self.socket.get_ref(), &request, &[])
            && errno != Errno::PIPE
        {
            tracing::warn!(container = id, %errno, "failed to tell the launcher to stop a container");
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// Follows the launcher's events until it is gone, then reaps it.
async fn read(
    socket: Arc<AsyncFd<OwnedFd>>,
    containers: Arc<Mutex<Containers>>,
    mut child: Reap,
    gone: watch::Sender<bool>,
) {
    loop {
        match receive(&socket).await {
            Ok(Some((event, fds))) => lock(&containers).on_event(event, fds),
            Ok(None) => break,
            Err(error) => {
                tracing::error!(%error, "failed to hear from the launcher");
                break;
            }
        }
    }
    let _ = child.0.kill();
    let known = {
        let mut containers = lock(&containers);
        containers.gone = true;
        std::mem::take(&mut containers.known)
    };
    for known in known.into_values() {
        known.phase.send_replace(Phase::Removed(Exit::Lost));
    }
    gone.send_replace(true);
}

/// A launcher that is told to end has much to do: it is waited for on a thread of its own.
struct Reap(Child);

impl Drop for Reap {
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            let pid = self.0.id();
            let waiter = std::thread::Builder::new().name("launcher-reaper".to_owned());
            let _ = waiter.spawn(move || {
                if let Some(pid) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) {
                    let _ = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty());
                }
            });
        }
    }
}

impl Known {
    fn fail(&mut self, id: String, reason: String) {
        if let Some(started) = self.started.take() {
            let _ = started.send(Err(LauncherError::NotStarted { id, reason }));
        }
    }
}

impl Containers {
    fn on_event(&mut self, event: Event, fds: Vec<OwnedFd>) {
        match event {
            Event::Started { id, pid } => {
                let Some(started) = self.known.get_mut(&id).and_then(|known| known.started.take()) else {
                    return;
                };
                let netns = fds.into_iter().next().ok_or(LauncherError::TooManyFiles(id));
                let _ = started.send(netns.map(|netns| Started { pid, netns }));
            }
            Event::NotStarted { id, reason } => {
                if let Some(known) = self.known.get_mut(&id) {
                    known.failed = Some(reason);
                }
            }
            Event::Refused { id, reason } => {
                if let Some(mut known) = self.known.remove(&id) {
                    known.fail(id, reason);
                }
            }
            Event::Exited { id, exit } => {
                if let Some(known) = self.known.get(&id) {
                    known.phase.send_replace(Phase::Exited(exit));
                }
            }
            Event::Removed { id } => {
                if let Some(mut known) = self.known.remove(&id) {
                    if let Some(reason) = known.failed.take() {
                        known.fail(id, reason);
                    }
                    known.phase.send_modify(|phase| {
                        if let Phase::Exited(exit) = phase {
                            *phase = Phase::Removed(exit.clone());
                        } else {
                            *phase = Phase::Removed(Exit::Lost);
                        }
                    });
                }
            }
            Event::Ready | Event::Unable { .. } => (),
        }
    }
}

fn spawn(config: &LauncherConfig, socket: OwnedFd) -> std::io::Result<Child> {
    let config = serde_json::to_string(config).map_err(std::io::Error::other)?;
    let executable = super::executable::open()?;
    Command::new(format!("/proc/self/fd/{}", executable.as_raw_fd()))
        .arg0("minke-launcher")
        .arg(CHILD)
        .arg(config)
        .env_clear()
        .stdin(Stdio::from(socket))
        .spawn()
}

#[allow(unsafe_code)]
fn register(socket: OwnedFd) -> std::io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an OwnedFd always gives the same descriptor and keeps it open until it is dropped.
    // https://man7.org/linux/man-pages/man7/epoll.7.html
    unsafe { AsyncFd::register(socket) }.map_err(std::io::Error::from)
}

fn spec_file(spec: &ContainerSpec) -> std::io::Result<OwnedFd> {
    let file = rustix::fs::memfd_create("container-spec", MemfdFlags::CLOEXEC)?;
    let mut file = std::fs::File::from(file);
    file.write_all(&serde_json::to_vec(spec)?)?;
    Ok(file.into())
}

async fn receive(socket: &AsyncFd<OwnedFd>) -> std::io::Result<Option<(Event, Vec<OwnedFd>)>> {
    socket.async_io(Interest::READABLE, |socket| Ok(wire::receive(socket)?)).await
}

fn lock(containers: &Mutex<Containers>) -> MutexGuard<'_, Containers> {
    containers.lock().unwrap_or_else(PoisonError::into_inner)
}
