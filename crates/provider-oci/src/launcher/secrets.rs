//! Secrets within a container's root: a file system in memory, read-only, that only this container sees.
//!
//! It is mounted in the worker's own mount namespace, so it is gone with worker and container, whatever happens; the
//! bytes go from one memory file to another and never through this process.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::MountFlags;

use crate::container::SecretFile;

/// `/var/openfaas/secrets`, a step at a time.
const PLACE: [&str; 3] = ["var", "openfaas", "secrets"];
const PAGE: u64 = 4096;

#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    #[error("image's /{} is not a directory, remove it from the image or make it one", .0.display())]
    NotDirectory(PathBuf),
    #[error("failed to {0} the secrets")]
    System(&'static str, #[source] std::io::Error),
    #[error("secrets came incomplete")]
    Incomplete,
}

/// Mounts `files` within `root`; their bytes lie in `content`, one after another.
pub fn mount(root: &OwnedFd, files: &[SecretFile], content: &OwnedFd) -> Result<(), SecretsError> {
    let system = |what: &'static str| move |errno: Errno| SecretsError::System(what, errno.into());
    let (parent, place) = make_place(root)?;
    mount_memory(&place, files).map_err(system("mount"))?;
    let mounted = enter(parent.as_fd(), PLACE[2]).map_err(system("find the mount of"))?;
    let mut offset = 0;
    for file in files {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // Only this container sees the mount, and its process may be any user.
        let target = rustix::fs::openat(&mounted, &file.name, flags, Mode::from_raw_mode(0o444));
        copy(content, &mut offset, &target.map_err(system("create"))?, file.bytes)?;
    }
    let flags = flags() | MountFlags::RDONLY;
    rustix::mount::mount_remount(name(&mounted), flags, c"").map_err(system("protect"))
}

/// Follows no link, so that an image cannot have anything made or mounted elsewhere. Also gives the folder above.
fn make_place(root: &OwnedFd) -> Result<(OwnedFd, OwnedFd), SecretsError> {
    let mut path = PathBuf::new();
    let mut step = |parent: BorrowedFd<'_>, part: &str| {
        path.push(part);
        match rustix::fs::mkdirat(parent, part, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => (),
            Err(errno) => return Err(SecretsError::System("make the folder of", errno.into())),
        }
        enter(parent, part).map_err(|errno| match errno {
            Errno::NOTDIR | Errno::LOOP => SecretsError::NotDirectory(path.clone()),
            errno => SecretsError::System("open the folder of", errno.into()),
        })
    };
    let var = step(root.as_fd(), PLACE[0])?;
    let parent = step(var.as_fd(), PLACE[1])?;
    let place = step(parent.as_fd(), PLACE[2])?;
    Ok((parent, place))
}

fn enter(parent: BorrowedFd<'_>, part: &str) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, part, flags, Mode::empty())
}

fn mount_memory(place: &OwnedFd, files: &[SecretFile]) -> rustix::io::Result<()> {
    let pages: u64 = files.iter().map(|file| file.bytes.div_ceil(PAGE)).sum();
    let options = format!("mode=0755,size={},nr_inodes={}", (pages + 1) * PAGE, files.len() + 1);
    let mount = |options: &str| {
        let options = std::ffi::CString::new(options).map_err(|_| Errno::INVAL)?;
        rustix::mount::mount("tmpfs", name(place), "tmpfs", flags(), options.as_c_str())
    };
    // Kernels before 6.4 cannot be told to keep it from a swap disk.
    match mount(&format!("{options},noswap")) {
        Err(Errno::INVAL) => mount(&options),
        other => other,
    }
}

fn copy(from: &OwnedFd, offset: &mut u64, to: &OwnedFd, bytes: u64) -> Result<(), SecretsError> {
    let mut left = bytes;
    while left > 0 {
        let count = usize::try_from(left).unwrap_or(usize::MAX);
        match rustix::fs::sendfile(to, from, Some(offset), count) {
            Ok(0) => return Err(SecretsError::Incomplete),
            Ok(sent) => left = left.saturating_sub(sent as u64),
            Err(errno) => return Err(SecretsError::System("write", errno.into())),
        }
    }
    Ok(())
}

fn flags() -> MountFlags {
    MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC
}

fn name(fd: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}
