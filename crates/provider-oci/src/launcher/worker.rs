//! The forked process that builds one container and ends.
//!
//! A process for each container: two are built at once on two cores, and whatever goes wrong within libcontainer,
//! a descriptor left open, a folder changed, a panic, ends with this process. The container's first process is made
//! as its sibling, so the launcher is the parent and reaps it.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use libcontainer::container::builder::ContainerBuilder;
use libcontainer::error::LibcontainerError;
use libcontainer::notify_socket::{NOTIFY_FILE, NotifyListenerError, NotifySocket};
use libcontainer::syscall::syscall::SyscallType;
use rustix::fs::{Gid, Uid};
use rustix::process::Signal;
use rustix::thread::UnshareFlags;

use super::cgroup::{CgroupError, Cgroups};
use super::exec::Exec;
use super::rootfs::RootfsError;
use super::secrets::SecretsError;
use super::user::UserError;
use super::wire::{self, Outcome};
use super::{bundle, netns, process, rootfs, secrets, user};
use crate::container::{ContainerSpec, ContainerSpecError};

/// What the worker is given: the spec's memory file, the container's output, and the secrets' memory file.
pub struct Job {
    pub spec: OwnedFd,
    pub stdout: OwnedFd,
    pub stderr: OwnedFd,
    pub secrets: Option<OwnedFd>,
    /// A pidfd: no container may begin once the launcher is gone.
    pub launcher: Arc<OwnedFd>,
}

/// Where a container's files are.
#[derive(Debug, Clone)]
pub struct Folders {
    /// On the disk, for what containers write.
    pub replicas: PathBuf,
    /// In memory, for bundles and libcontainer's own state.
    pub run: PathBuf,
}

#[derive(Debug, thiserror::Error)]
enum WorkerError {
    #[error("failed to read the container's spec")]
    ReadSpec(#[source] std::io::Error),
    #[error("failed to parse the container's spec")]
    ParseSpec(#[source] serde_json::Error),
    #[error(transparent)]
    Spec(#[from] ContainerSpecError),
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    #[error(transparent)]
    Rootfs(#[from] RootfsError),
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    #[error(transparent)]
    User(#[from] UserError),
    #[error("failed to {0}")]
    System(&'static str, #[source] std::io::Error),
    #[error("failed to create the container")]
    Create(#[source] LibcontainerError),
    #[error("failed to start the container")]
    Start(#[source] NotifyListenerError),
    #[error("container has no process")]
    NoProcess,
}

/// Builds and starts the container, tells the launcher, and gives the exit code.
pub fn run(job: Job, folders: &Folders, cgroups: &Cgroups, channel: &OwnedFd) -> i32 {
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    let told = match build(job, folders, cgroups) {
        Ok((pid, netns)) => wire::send(channel, &Outcome::Started { pid }, &[netns.as_fd()]),
        Err(error) => wire::send(channel, &Outcome::Failed { reason: wire::reason(&error) }, &[]),
    };
    i32::from(told.is_err())
}

fn build(job: Job, folders: &Folders, cgroups: &Cgroups) -> Result<(i32, OwnedFd), WorkerError> {
    let mut spec: ContainerSpec = read_spec(job.spec)?;
    spec.check()?;
    cgroups.create(&spec.id, &spec.limits)?;
    cgroups.join(&spec.id)?;
    let netns = separate().map_err(|error| WorkerError::System("make the container's namespaces", error))?;

    let bundle = folders.run.join(&spec.id);
    let target = bundle.join("rootfs");
    let root = rootfs::mount(&spec.layers, &folders.replicas.join(&spec.id), &target)?;
    rootfs::make_mount_points(&root)?;
    rootfs::make_dir(&root, &spec.cwd)?;
    if !spec.secrets.is_empty() {
        secrets::mount(&root, &spec.secrets, &job.secrets.ok_or(SecretsError::Incomplete)?)?;
    }
    let ids = user::resolve(&root, &spec.user)?;
    complete_env(&mut spec, &ids.home);
    redirect(job.stdout, job.stderr, ids.uid, ids.gid)
        .map_err(|error| WorkerError::System("connect the container's output", error))?;
    let config = bundle::config(&spec, &ids, &target.to_string_lossy());
    std::fs::write(bundle.join("config.json"), config.to_string())
        .map_err(|error| WorkerError::System("write the container's bundle", error))?;
    drop(root);

    process::hold_signals(false);
    let pid = create(&spec.id, &bundle, &folders.run.join("state"), job.launcher)?;
    cgroups.limit_cpu(&spec.id, &spec.limits)?;
    let socket = folders.run.join("state").join(&spec.id).join(NOTIFY_FILE);
    NotifySocket::new(socket).notify_container_start().map_err(WorkerError::Start)?;
    Ok((pid, netns))
}

fn create(id: &str, bundle: &Path, state: &Path, launcher: Arc<OwnedFd>) -> Result<i32, WorkerError> {
    let container = ContainerBuilder::new(id.to_owned(), SyscallType::default())
        .with_executor(Exec { launcher })
        .with_root_path(state)
        .map_err(WorkerError::Create)?
        .as_init(bundle)
        .with_systemd(false)
        .as_sibling(true)
        .with_detach(true)
        .build()
        .map_err(WorkerError::Create)?;
    container.pid().map(|pid| pid.as_raw()).ok_or(WorkerError::NoProcess)
}

fn read_spec(file: OwnedFd) -> Result<ContainerSpec, WorkerError> {
    let mut file = File::from(file);
    std::io::Seek::rewind(&mut file).map_err(WorkerError::ReadSpec)?;
    serde_json::from_reader(std::io::BufReader::new(file)).map_err(WorkerError::ParseSpec)
}

/// Moves this process to mount and network namespaces of its own. Mounts made from here on live in the worker and
/// the container alone and go with them, whatever happens: nobody has to unmount.
#[allow(unsafe_code)]
fn separate() -> std::io::Result<OwnedFd> {
    // SAFETY: the worker has one thread and shares no file descriptor table.
    // https://man7.org/linux/man-pages/man2/unshare.2.html
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS | UnshareFlags::NEWNET) }?;
    netns::loopback_up()?;
    Ok(netns::current()?)
}

/// The container's standard streams become this process's, which the container inherits.
fn redirect(stdout: OwnedFd, stderr: OwnedFd, uid: u32, gid: u32) -> std::io::Result<()> {
    let null = File::options().read(true).write(true).open("/dev/null")?;
    for stream in [&stdout, &stderr] {
        // So that a process with another user can open /dev/stdout.
        rustix::fs::fchown(stream, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
    }
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&stdout)?;
    rustix::stdio::dup2_stderr(&stderr)?;
    Ok(())
}

fn complete_env(spec: &mut ContainerSpec, home: &str) {
    const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    for (name, value) in [("PATH", PATH), ("HOME", home), ("HOSTNAME", &spec.hostname.clone())] {
        if spec.env.iter().all(|(known, _)| known != name) {
            spec.env.push((name.to_owned(), value.to_owned()));
        }
    }
}
