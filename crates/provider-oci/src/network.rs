//! The way into a replica: a socket opened inside its network namespace.
//!
//! No address, bridge or host port is involved, so nothing else on the host or in another function can call it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use std::sync::{Arc, LazyLock};

use provider::http1::{Dial, Dialing};
use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::net::TcpSocket;

/// Where every function listens.
const FUNCTION: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

/// The platform's own network namespace, to come back to.
static HOST: LazyLock<rustix::io::Result<OwnedFd>> = LazyLock::new(|| {
    rustix::fs::open("/proc/thread-self/ns/net", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
});

/// Dials port 8080 of one replica.
#[derive(Debug, Clone)]
pub struct ReplicaDial {
    netns: Arc<OwnedFd>,
}

impl ReplicaDial {
    pub fn new(netns: Arc<OwnedFd>) -> Self {
        Self { netns }
    }
}

impl Dial for ReplicaDial {
    fn dial(&self) -> Dialing<'_> {
        Box::pin(async {
            // A socket belongs to the namespace that it was made in, whoever connects it.
            let socket = socket_within(self.netns.as_fd())?;
            tokio_socket(socket).connect(FUNCTION).await
        })
    }
}

/// Makes a socket in `netns`. Nothing may be awaited between the two moves: the thread is another's then.
fn socket_within(netns: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let host = HOST.as_ref().map_err(|errno| io::Error::from(*errno))?;
    move_into_link_name_space(netns, Some(LinkNameSpaceType::Network))?;
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None);
    if move_into_link_name_space(host.as_fd(), Some(LinkNameSpaceType::Network)).is_err() {
        // A thread of the platform in a function's network would open everybody's sockets there.
        std::process::abort();
    }
    Ok(socket?)
}

#[allow(unsafe_code)]
fn tokio_socket(socket: OwnedFd) -> TcpSocket {
    // SAFETY: the descriptor is a TCP socket, not connected, non-blocking, and its ownership is passed on.
    // https://man7.org/linux/man-pages/man2/socket.2.html
    unsafe { TcpSocket::from_raw_fd(socket.into_raw_fd()) }
}
