//! The launcher's loop: requests in, workers and cleaners forked, exits out.
//!
//! One thread and no blocking work: what takes time is done by a forked process.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, WaitStatus};

use super::cgroup::Cgroups;
use super::process;
use super::wire::{self, Event, Outcome, Request};
use super::worker::{self, Folders, Job};
use crate::container::Exit;

/// A container that is not built by then is given up.
const BUILD_TIME_MAX: Duration = Duration::from_secs(30);
/// How long a cleaner waits for the kernel to let go of a cgroup.
pub const CLEAN_TIME_MAX: Duration = Duration::from_secs(10);
/// The kernel drops descriptors that the receiver has no room for.
const TOO_FEW_DESCRIPTORS: &str = "the request came without its descriptors, the launcher has too many files open; raise its limit (ulimit -n)";
/// How long the launcher cleans after the platform is gone.
const FAREWELL_TIME_MAX: Duration = Duration::from_secs(15);

pub struct Server {
    socket: OwnedFd,
    folders: Folders,
    cgroups: Cgroups,
    /// A pidfd of this process.
    own: Arc<OwnedFd>,
    containers: HashMap<String, State>,
    /// Ends of processes nobody asked for yet: a container can be gone before its worker has told its pid.
    strays: HashMap<Pid, WaitStatus>,
    /// Workers that have spoken and are about to end.
    leaving: HashMap<Pid, OwnedFd>,
    /// When the platform was found gone.
    farewell: Option<Instant>,
}

enum State {
    Building { worker: Pid, pidfd: OwnedFd, channel: OwnedFd, deadline: Instant, stop: bool },
    Running { pid: Pid, pidfd: OwnedFd, kill_at: Option<Instant> },
    Cleaning { cleaner: Pid, pidfd: OwnedFd },
}

impl Server {
    pub fn new(socket: OwnedFd, folders: Folders, cgroups: Cgroups, own: OwnedFd) -> Server {
        Server {
            socket,
            folders,
            cgroups,
            own: Arc::new(own),
            containers: HashMap::new(),
            strays: HashMap::new(),
            leaving: HashMap::new(),
            farewell: None,
        }
    }

    /// Serves until the platform is gone and nothing of it is left.
    pub fn run(mut self) {
        self.tell(&Event::Ready, &[]);
        while self
            .farewell
            .is_none_or(|since| !self.containers.is_empty() && since.elapsed() < FAREWELL_TIME_MAX)
        {
            let ready = self.wait();
            for id in ready.built {
                self.built(&id);
            }
            self.reap();
            if ready.request {
                self.request();
            }
            self.enforce_deadlines();
        }
        self.cgroups.remove_parent();
    }

    fn wait(&self) -> Ready {
        let mut building = Vec::new();
        let mut fds = Vec::with_capacity(self.containers.len() + 1);
        for (id, state) in &self.containers {
            if let State::Building { channel, .. } = state {
                building.push(id);
                fds.push(PollFd::new(channel, PollFlags::IN));
            }
        }
        let socket_at = fds.len();
        let socket_flags = if self.farewell.is_none() { PollFlags::IN } else { PollFlags::empty() };
        fds.push(PollFd::new(&self.socket, socket_flags));
        for state in self.containers.values() {
            let (State::Building { pidfd, .. }
            | State::Running { pidfd, .. }
            | State::Cleaning { pidfd, .. }) = state;
            fds.push(PollFd::new(pidfd, PollFlags::IN));
        }
        fds.extend(self.leaving.values().map(|pidfd| PollFd::new(pidfd, PollFlags::IN)));
        let timeout = self.next_deadline().map(|at| at.saturating_duration_since(Instant::now()));
        let timeout = timeout.and_then(|left| Timespec::try_from(left + Duration::from_millis(1)).ok());
        // An interrupted poll is as good as an early one.
        let _ = rustix::event::poll(&mut fds, timeout.as_ref());
        let is_ready = |fd: &PollFd<'_>| !fd.revents().is_empty();
        let built = building.iter().zip(&fds).filter(|(_, fd)| is_ready(fd));
        Ready {
            built: built.map(|(id, _)| (*id).clone()).collect(),
            request: self.farewell.is_none() && is_ready(&fds[socket_at]),
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let of_state = |state: &State| match state {
            State::Building { deadline, .. } => Some(*deadline),
            State::Running { kill_at, .. } => *kill_at,
            State::Cleaning { .. } => None,
        };
        let farewell = self.farewell.map(|since| since + FAREWELL_TIME_MAX);
        self.containers.values().filter_map(of_state).chain(farewell).min()
    }

    fn request(&mut self) {
        match wire::receive::<Request>(&self.socket) {
            Ok(Some((Request::Run { id, secrets }, fds))) => self.build(id, secrets, fds),
            Ok(Some((Request::Stop { id, grace_ms }, _))) => self.stop(&id, Duration::from_millis(grace_ms)),
            Ok(None) => self.bid_farewell(),
            Err(errno) => {
                eprintln!("minke launcher: failed to receive from the platform: {errno}");
                self.bid_farewell();
            }
        }
    }

    fn build(&mut self, id: String, secrets: bool, mut fds: Vec<OwnedFd>) {
        // What is missing is missing at the end: without it, one of the others is taken for it and too few are left.
        let secrets = if secrets { fds.pop() } else { None };
        let refused = match <[OwnedFd; 3]>::try_from(fds) {
            Err(_) => TOO_FEW_DESCRIPTORS.to_owned(),
            Ok(_) if self.containers.contains_key(&id) => format!("container {id} exists"),
            Ok([spec, stdout, stderr]) => {
                match self.fork_worker(Job { spec, stdout, stderr, secrets, launcher: Arc::clone(&self.own) })
                {
                    Ok(state) => {
                        self.containers.insert(id, state);
                        return;
                    }
                    Err(error) => format!("failed to fork a worker: {error}"),
                }
            }
        };
        self.tell(&Event::Refused { id, reason: refused }, &[]);
    }

    fn fork_worker(&self, job: Job) -> std::io::Result<State> {
        let (channel, theirs) = pair()?;
        let worker = process::fork(|| worker::run(job, &self.folders, &self.cgroups, &theirs))?;
        let pidfd = rustix::process::pidfd_open(worker, PidfdFlags::empty()).inspect_err(|_| {
            let _ = rustix::process::kill_process(worker, Signal::KILL);
        })?;
        Ok(State::Building { worker, pidfd, channel, deadline: Instant::now() + BUILD_TIME_MAX, stop: false })
    }

    /// A worker has spoken, or ended without a word.
    fn built(&mut self, id: &str) {
        let Some(State::Building { channel, worker, stop, .. }) = self.containers.get(id) else { return };
        let (worker, stop) = (*worker, *stop);
        match wire::receive::<Outcome>(channel) {
            Ok(Some((Outcome::Started { pid }, fds))) => self.started(id, pid, &fds, stop),
            Ok(Some((Outcome::Failed { reason }, _))) => self.failed(id, reason),
            Ok(None) => self.failed(id, "the worker ended unexpectedly".to_owned()),
            Err(errno) => {
                let _ = rustix::process::kill_process(worker, Signal::KILL);
                self.failed(id, format!("failed to hear from the worker: {errno}"));
            }
        }
    }

    fn started(&mut self, id: &str, pid: i32, fds: &[OwnedFd], stop: bool) {
        let Some(pid) = Pid::from_raw(pid) else { return self.failed(id, "no process".to_owned()) };
        let fds: Vec<_> = fds.iter().map(OwnedFd::as_fd).collect();
        self.tell(&Event::Started { id: id.to_owned(), pid: pid.as_raw_nonzero().get() }, &fds);
        if let Some(status) = self.strays.remove(&pid) {
            return self.exited(id.to_owned(), status);
        }
        match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => {
                let kill_at = (stop || self.farewell.is_some()).then(Instant::now);
                let running = State::Running { pid, pidfd, kill_at };
                if let Some(State::Building { worker, pidfd, .. }) =
                    self.containers.insert(id.to_owned(), running)
                {
                    self.leaving.insert(worker, pidfd);
                }
            }
            Err(errno) => self.failed(id, format!("failed to watch the container: {errno}")),
        }
    }

    fn failed(&mut self, id: &str, reason: String) {
        self.tell(&Event::NotStarted { id: id.to_owned(), reason: wire::bounded(reason) }, &[]);
        self.clean(id.to_owned());
    }

    fn stop(&mut self, id: &str, grace: Duration) {
        match self.containers.get_mut(id) {
            Some(State::Running { pid, pidfd, kill_at }) => {
                let _ = rustix::process::pidfd_send_signal(&*pidfd, Signal::TERM);
                let grace = if process::heeds_sigterm(*pid) { grace } else { Duration::ZERO };
                let at = Instant::now() + grace;
                *kill_at = Some(kill_at.map_or(at, |earlier| earlier.min(at)));
            }
            Some(State::Building { stop, .. }) => *stop = true,
            Some(State::Cleaning { .. }) | None => (),
        }
    }

    fn reap(&mut self) {
        // ECHILD: no child at all, none to reap.
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            self.reaped(pid, status);
        }
        if !self.containers.values().any(|state| matches!(state, State::Building { .. })) {
            self.strays.clear();
        }
    }

    fn reaped(&mut self, pid: Pid, status: WaitStatus) {
        if self.leaving.remove(&pid).is_some() {
            return;
        }
        let known = self.containers.iter().find(|(_, state)| match state {
            State::Building { worker, .. } => *worker == pid,
            State::Running { pid: init, .. } => *init == pid,
            State::Cleaning { cleaner, .. } => *cleaner == pid,
        });
        match known.map(|(id, state)| (id.clone(), state)) {
            // Its last word may still be in the channel; the container's process may hold the channel open.
            Some((id, State::Building { channel, .. })) if is_readable(channel) => {
                self.built(&id);
                self.leaving.remove(&pid);
            }
            Some((id, State::Building { .. })) => {
                self.failed(&id, "the worker ended unexpectedly".to_owned())
            }
            Some((id, State::Running { .. })) => self.exited(id, status),
            Some((id, State::Cleaning { .. })) => {
                self.containers.remove(&id);
                self.tell(&Event::Removed { id }, &[]);
            }
            None => _ = self.strays.insert(pid, status),
        }
    }

    fn exited(&mut self, id: String, status: WaitStatus) {
        let killed = status.terminating_signal();
        let exit = match killed {
            Some(9) if self.cgroups.was_out_of_memory(&id) => Exit::OutOfMemory,
            Some(signal) => Exit::Signal(signal),
            None => Exit::Code(status.exit_status().unwrap_or(-1)),
        };
        self.tell(&Event::Exited { id: id.clone(), exit }, &[]);
        self.clean(id);
    }

    fn clean(&mut self, id: String) {
        let cleaner = process::fork(|| clean(&id, &self.folders, &self.cgroups, CLEAN_TIME_MAX))
            .and_then(|cleaner| Ok((cleaner, rustix::process::pidfd_open(cleaner, PidfdFlags::empty())?)));
        match cleaner {
            Ok((cleaner, pidfd)) => _ = self.containers.insert(id, State::Cleaning { cleaner, pidfd }),
            Err(error) => {
                // Start-up sweeps what stays.
                eprintln!("minke launcher: failed to clean up container {id}: {error}");
                self.containers.remove(&id);
                self.tell(&Event::Removed { id }, &[]);
            }
        }
    }

    fn enforce_deadlines(&mut self) {
        let now = Instant::now();
        for state in self.containers.values_mut() {
            match state {
                State::Running { pidfd, kill_at, .. } if kill_at.is_some_and(|at| at <= now) => {
                    let _ = rustix::process::pidfd_send_signal(pidfd, Signal::KILL);
                    *kill_at = None;
                }
                State::Building { worker, deadline, .. } if *deadline <= now => {
                    // Its channel ends with it, and with that the container is given up.
                    let _ = rustix::process::kill_process(*worker, Signal::KILL);
                    *deadline = now + BUILD_TIME_MAX;
                }
                _ => (),
            }
        }
    }

    /// The platform is gone: everything goes with it.
    fn bid_farewell(&mut self) {
        let now = Instant::now();
        self.farewell = Some(now);
        for state in self.containers.values_mut() {
            match state {
                State::Running { kill_at, .. } => *kill_at = Some(now),
                State::Building { deadline, .. } => *deadline = now,
                State::Cleaning { .. } => (),
            }
        }
    }

    fn tell(&self, event: &Event, fds: &[std::os::fd::BorrowedFd<'_>]) {
        if self.farewell.is_some() {
            return;
        }
        // A platform that is gone is seen as the end of its requests.
        let _ = wire::send(&self.socket, event, fds);
    }
}

struct Ready {
    built: Vec<String>,
    request: bool,
}

/// Removes what a container may have left on the host.
pub fn clean(id: &str, folders: &Folders, cgroups: &Cgroups, patience: Duration) -> i32 {
    let mut code = 0;
    let mut note = |what: &str, error: &dyn std::fmt::Display| {
        eprintln!("minke launcher: failed to remove the {what} of container {id}: {error}");
        code = 1;
    };
    if let Err(error) = cgroups.remove(id, patience) {
        note("cgroups", &error);
    }
    for folder in [folders.replicas.join(id), folders.run.join(id), folders.run.join("state").join(id)] {
        match std::fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => note("folder", &error),
            _ => (),
        }
    }
    code
}

fn is_readable(fd: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(fd, PollFlags::IN)];
    rustix::event::poll(&mut fds, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
}

pub fn pair() -> std::io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}
