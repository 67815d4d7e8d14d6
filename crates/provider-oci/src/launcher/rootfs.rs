//! A container's root: an overlay of the image's layers below one writable folder.

use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::mount::MountFlags;

#[derive(Debug, thiserror::Error)]
pub enum RootfsError {
    #[error("failed to {verb} {path}")]
    Io {
        verb: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("failed to mount the image's {layers} layers as one overlay")]
    Overlay {
        layers: usize,
        #[source]
        source: std::io::Error,
    },
    #[error("image's /{0} is not a directory, remove it from the image or make it one")]
    NotDirectory(&'static str),
}

/// What libcontainer mounts on, and writes below by its path on the host.
const MOUNT_POINTS: [&str; 3] = ["proc", "sys", "dev"];

/// Mounts `layers` (lowest first) at `target` in the caller's mount namespace; what the container writes goes to
/// `writable`, which must be new. The kernel wants the upper and the work folder on one file system.
pub fn mount(layers: &[PathBuf], writable: &Path, target: &Path) -> Result<OwnedFd, RootfsError> {
    let (upper, work) = (writable.join("upper"), writable.join("work"));
    for dir in [&upper, &work, &target.to_path_buf()] {
        std::fs::create_dir_all(dir).map_err(|source| io("create", dir, source))?;
    }
    // Descriptors in place of paths: the options must fit into one page, and a path may hold ':' or ','.
    let open_all = |paths: &mut dyn Iterator<Item = &PathBuf>| {
        paths.map(|path| open_dir(path)).collect::<Result<Vec<_>, _>>()
    };
    let lower = open_all(&mut layers.iter().rev())?;
    let own = open_all(&mut [&upper, &work].into_iter())?;
    let name = |fd: &OwnedFd| format!("/proc/self/fd/{}", fd.as_raw_fd());
    let lower_names: Vec<_> = lower.iter().map(name).collect();
    let options =
        format!("lowerdir={},upperdir={},workdir={}", lower_names.join(":"), name(&own[0]), name(&own[1]));
    // The writable folder is thrown away with the container: it need not reach the disk.
    let volatile = overlay(target, &format!("{options},volatile"));
    let mounted = match volatile {
        Err(Errno::INVAL) => overlay(target, &options),
        other => other,
    };
    mounted.map_err(|errno| RootfsError::Overlay { layers: layers.len(), source: errno.into() })?;
    open_dir(target)
}

fn overlay(target: &Path, options: &str) -> rustix::io::Result<()> {
    let options = CString::new(options).map_err(|_| Errno::INVAL)?;
    rustix::mount::mount("overlay", target, "overlay", MountFlags::NODEV, options.as_c_str())
}

/// Refuses an image that has anything but a directory where the kernel's own file systems go: a link there would lead
/// libcontainer, which makes and removes files below `/dev` before the root is changed, to the host.
pub fn make_mount_points(root: &OwnedFd) -> Result<(), RootfsError> {
    for name in MOUNT_POINTS {
        match rustix::fs::mkdirat(root, name, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => (),
            Err(errno) => return Err(io("create", Path::new(name), errno.into())),
        }
        let stat = rustix::fs::statat(root, name, AtFlags::SYMLINK_NOFOLLOW);
        let stat = stat.map_err(|errno| io("examine", Path::new(name), errno.into()))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            return Err(RootfsError::NotDirectory(name));
        }
    }
    Ok(())
}

/// Makes `path` and its parents within `root`, whatever links the image holds.
pub fn make_dir(root: &OwnedFd, path: &str) -> Result<(), RootfsError> {
    let mut done = PathBuf::from(".");
    for part in path.split('/').filter(|part| !part.is_empty()) {
        let parent = open_within(root, &done).map_err(|errno| io("open", &done, errno.into()))?;
        done.push(part);
        match rustix::fs::mkdirat(&parent, part, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => (),
            Err(errno) => return Err(io("create", &done, errno.into())),
        }
    }
    match open_within(root, &done) {
        Ok(_) => Ok(()),
        Err(errno) => Err(io("open", &done, errno.into())),
    }
}

fn open_within(root: &OwnedFd, path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat2(root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS)
}

fn open_dir(path: &Path) -> Result<OwnedFd, RootfsError> {
    rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| io("open", path, errno.into()))
}

fn io(verb: &'static str, path: &Path, source: std::io::Error) -> RootfsError {
    RootfsError::Io { verb, path: path.to_owned(), source }
}
