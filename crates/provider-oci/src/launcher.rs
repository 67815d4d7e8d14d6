//! The launcher: a process of this binary that makes containers, and the handle that the platform holds on it.
//!
//! libcontainer clones without the C library's knowledge and allocates in the child, which a process with threads
//! must not do. So a process with one thread does it: started by [`Launcher::connect`] from the same executable,
//! spoken to over a socket pair, and gone, with every container, when the platform is gone.

mod bundle;
mod cgroup;
mod client;
mod exec;
mod executable;
mod netns;
mod process;
mod rootfs;
mod seccomp;
mod secrets;
mod server;
mod user;
mod wire;
mod worker;

use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use rustix::process::PidfdFlags;
use rustix::thread::UnshareFlags;
use serde::{Deserialize, Serialize};

pub use client::{Container, Launcher, LauncherError};

pub(crate) use cgroup::Cgroups;

use cgroup::CgroupError;
use server::Server;
use wire::Event;
use worker::Folders;

/// First argument of a process that is to be a launcher.
const CHILD: &str = "launcher-process";
/// A launcher whose platform was killed cleans up before the next one starts.
const PREDECESSOR_TIME_MAX: Duration = Duration::from_secs(20);
/// For what was left as a whole; what stays is tried again at the next start.
const SWEEP_TIME_MAX: Duration = Duration::from_secs(20);
const PREDECESSOR_POLL: Duration = Duration::from_millis(5);

/// What a launcher works on; one launcher for each folder at a time.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LauncherConfig {
    /// Holds what containers write, `replicas/<id>`, and the lock.
    pub folder: PathBuf,
    /// The cgroup that holds those of the containers; no other instance may use it.
    pub cgroup: String,
}

#[derive(Debug, thiserror::Error)]
enum SetUpError {
    #[error("failed to parse the launcher's configuration")]
    Config(#[source] serde_json::Error),
    #[error("failed to {0}")]
    System(&'static str, #[source] std::io::Error),
    #[error("failed to {verb} {path}")]
    File {
        verb: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("another launcher works in {0}, stop the other platform or use another data directory")]
    Locked(PathBuf),
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    #[error("failed to build the containers' system call filter")]
    Filter(#[source] seccompiler::BackendError),
}

/// Becomes the launcher if this process was started to be one, and then does not return.
///
/// To be called first in `main`, before any thread exists.
pub fn main_if_child() {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_none_or(|arg| arg != CHILD) {
        return;
    }
    let config = args.next().unwrap_or_default();
    let code = match take_socket() {
        Ok(socket) => serve(socket, &config.to_string_lossy()),
        Err(error) => {
            eprintln!("minke launcher: failed to take the platform's socket: {error}");
            1
        }
    };
    std::process::exit(code);
}

fn serve(socket: OwnedFd, config: &str) -> i32 {
    match set_up(config) {
        // The lock is held as long as anything is left to clean.
        Ok((folders, cgroups, own, _lock)) => {
            Server::new(socket, folders, cgroups, own).run();
            0
        }
        Err(error) => {
            let _ = wire::send(&socket, &Event::Unable { reason: wire::reason(&error) }, &[]);
            1
        }
    }
}

/// The socket comes as standard input, which then becomes `/dev/null`.
#[allow(unsafe_code)]
fn take_socket() -> std::io::Result<OwnedFd> {
    // SAFETY: nothing else owns descriptor 0 so early in main.
    // https://man7.org/linux/man-pages/man3/stdin.3.html
    let stdin = unsafe { OwnedFd::from_raw_fd(0) };
    let socket = rustix::io::fcntl_dupfd_cloexec(stdin.as_fd(), 3)?;
    let null = std::fs::File::open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    std::mem::forget(stdin);
    Ok(socket)
}

fn set_up(config: &str) -> Result<(Folders, Cgroups, OwnedFd, OwnedFd), SetUpError> {
    let config: LauncherConfig = serde_json::from_str(config).map_err(SetUpError::Config)?;
    let system = |what: &'static str| move |errno: rustix::io::Errno| SetUpError::System(what, errno.into());
    process::hold_signals(true);
    rustix::process::setsid().map_err(system("start a session"))?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .map_err(system("become subreaper"))?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    std::env::set_current_dir("/").map_err(|error| SetUpError::System("change to the root folder", error))?;
    let folders = Folders { replicas: config.folder.join("replicas"), run: config.folder.join("run") };
    for folder in [&config.folder, &folders.replicas, &folders.run] {
        make_private_dir(folder)?;
    }
    let lock = lock(&config.folder)?;
    let cgroups = Cgroups::open(&config.cgroup)?;
    seccomp::prepare().map_err(SetUpError::Filter)?;
    sweep(&folders, &cgroups)?;
    separate_mounts(&folders.run).map_err(system("make the launcher's mount namespace, it needs root"))?;
    let state = folders.run.join("state");
    std::fs::create_dir(&state).map_err(|source| SetUpError::File { verb: "create", path: state, source })?;
    let own = rustix::process::pidfd_open(rustix::process::getpid(), PidfdFlags::empty());
    Ok((folders, cgroups, own.map_err(system("watch itself"))?, lock))
}

fn make_private_dir(path: &Path) -> Result<(), SetUpError> {
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| SetUpError::File { verb: "create", path: path.to_owned(), source })
}

/// A record lock: it belongs to this process alone, not to the workers and containers it forks.
fn lock(folder: &Path) -> Result<OwnedFd, SetUpError> {
    let path = folder.join("lock");
    let file = std::fs::File::options().create(true).truncate(false).write(true).open(&path);
    let file = OwnedFd::from(file.map_err(|source| SetUpError::File {
        verb: "open",
        path: path.clone(),
        source,
    })?);
    let begun = Instant::now();
    loop {
        match rustix::fs::fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::ACCESS) => (),
            Err(errno) => return Err(SetUpError::File { verb: "lock", path, source: errno.into() }),
        }
        if begun.elapsed() > PREDECESSOR_TIME_MAX {
            return Err(SetUpError::Locked(folder.to_owned()));
        }
        std::thread::sleep(PREDECESSOR_POLL);
    }
}

/// Removes what a launcher left that could not say farewell.
fn sweep(folders: &Folders, cgroups: &Cgroups) -> Result<(), SetUpError> {
    let begun = Instant::now();
    let list = |path: &Path| std::fs::read_dir(path).map(|entries| entries.flatten().collect::<Vec<_>>());
    let left = list(&folders.replicas);
    let left =
        left.map_err(|source| SetUpError::File { verb: "list", path: folders.replicas.clone(), source })?;
    let names = left.into_iter().filter_map(|entry| entry.file_name().into_string().ok());
    for id in cgroups.ids().into_iter().chain(names) {
        let left = SWEEP_TIME_MAX.saturating_sub(begun.elapsed());
        server::clean(&id, folders, cgroups, left.min(server::CLEAN_TIME_MAX));
    }
    Ok(())
}

/// Moves to a mount namespace that hears of the host's unmounts but tells the host nothing, in which `run` is in
/// memory, and from which `/sys/fs/cgroup` is gone: cgroups are reached through the descriptors opened before, and
/// libcontainer, finding none, leaves them alone.
#[allow(unsafe_code)]
fn separate_mounts(run: &Path) -> rustix::io::Result<()> {
    // SAFETY: this process has one thread and shares no file descriptor table.
    // https://man7.org/linux/man-pages/man2/unshare.2.html
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS) }?;
    rustix::mount::mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)?;
    rustix::mount::unmount("/sys/fs/cgroup", UnmountFlags::DETACH)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    rustix::mount::mount("tmpfs", "/sys/fs/cgroup", "tmpfs", flags, c"mode=0755,size=64k")?;
    rustix::mount::mount(
        "tmpfs",
        run,
        "tmpfs",
        MountFlags::NOSUID | MountFlags::NODEV,
        c"mode=0700,size=256m",
    )
}
