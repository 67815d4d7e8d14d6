//! This executable, as nobody can write to it.
//!
//! Until a container's first process becomes the image's command, its `/proc/self/exe` leads to what the launcher was
//! started from. A hostile image may keep that open and write to it later, as root: so the launcher is started from a
//! read-only view, never from the host's own file.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{CWD, MemfdFlags, Mode, OFlags, SealFlags};
use rustix::mount::OpenTreeFlags;

/// To be started by the name `/proc/self/fd/<number>`.
pub fn open() -> std::io::Result<OwnedFd> {
    // Kernels before 5.12 cannot; a copy costs memory as long as the launcher runs.
    read_only_mount().or_else(|_| sealed_copy())
}

/// A mount of the one file, read-only and nowhere to be seen, which lives as long as somebody runs from it.
fn read_only_mount() -> std::io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let mount = rustix::mount::open_tree(CWD, "/proc/self/exe", flags)?;
    make_read_only(&mount)?;
    Ok(mount)
}

#[allow(unsafe_code)]
fn make_read_only(mount: &OwnedFd) -> std::io::Result<()> {
    #[repr(C)]
    struct MountAttr {
        set: u64,
        clear: u64,
        propagation: u64,
        userns_fd: u64,
    }
    const MOUNT_SETATTR: libc::c_long = 442;
    const READ_ONLY: u64 = 1;
    let attr = MountAttr { set: READ_ONLY, clear: 0, propagation: 0, userns_fd: 0 };
    // SAFETY: the path is a C string, the struct is the kernel's first version and passed with its size; no safe
    // wrapper offers the call. https://man7.org/linux/man-pages/man2/mount_setattr.2.html
    let result = unsafe {
        libc::syscall(
            MOUNT_SETATTR,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            &raw const attr,
            size_of::<MountAttr>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

fn sealed_copy() -> std::io::Result<OwnedFd> {
    let copy = rustix::fs::memfd_create("minke", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut copy = File::from(copy);
    std::io::copy(&mut File::open("/proc/self/exe")?, &mut copy)?;
    let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(&copy, seals)?;
    // What is open for writing cannot be run.
    let path = format!("/proc/self/fd/{}", copy.as_raw_fd());
    Ok(rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn both_views_run_and_cannot_be_written() {
        let check = |name: &str, view: OwnedFd| {
            let path = format!("/proc/self/fd/{}", view.as_raw_fd());
            let output = std::process::Command::new(&path).arg("--list").output().unwrap();
            assert!(output.status.success(), "{name}");
            let file = File::options().write(true).open(&path);
            assert!(file.and_then(|mut file| file.write_all(b"x")).is_err(), "{name}");
        };
        let mount = read_only_mount().unwrap();
        let flags = rustix::fs::fstatvfs(&mount).unwrap().f_flag;
        assert!(flags.contains(rustix::fs::StatVfsMountFlags::RDONLY), "{flags:?}");
        check("mount", mount);
        let copy = sealed_copy().unwrap();
        assert!(rustix::fs::fcntl_get_seals(&copy).unwrap().contains(SealFlags::WRITE));
        check("copy", copy);
    }
}
