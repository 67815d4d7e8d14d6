//! A new network namespace with loopback up.

use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SocketType};

/// The calling process's network namespace, to be kept and passed on.
pub fn current() -> rustix::io::Result<OwnedFd> {
    rustix::fs::open("/proc/thread-self/ns/net", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
}

/// Brings `lo` up in the calling process's network namespace.
#[allow(unsafe_code)]
pub fn loopback_up() -> std::io::Result<()> {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    // SAFETY: an ifreq of zeros is valid, and SIOCSIFFLAGS reads the name and the flags only;
    // no safe wrapper offers it. https://man7.org/linux/man-pages/man7/netdevice.7.html
    let failed = unsafe {
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[0] = b'l' as libc::c_char;
        request.ifr_name[1] = b'o' as libc::c_char;
        request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
        libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &request)
    };
    if failed == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}
