//! The sockets of the platform: opened here, or taken over from whoever started it (`LISTEN_FDS`, as systemd's socket
//! units and a process that hands over do it). A socket that outlives a restart keeps its callers waiting instead of
//! turning them away.

use std::io;
use std::net::{SocketAddr, TcpListener};

use listenfd::ListenFd;
use model::env::common;

use crate::error::Failure;

/// What is opened before anything else is touched.
#[derive(Debug)]
pub struct Listeners {
    pub api: TcpListener,
    /// When there is a certificate to show.
    pub tls: Option<TcpListener>,
    pub metrics: TcpListener,
}

/// Sockets that this process was started with, by name.
pub struct Inherited {
    sockets: ListenFd,
    /// Names in the order of the sockets; the order of [`NAMES`] where nobody names them.
    names: Vec<String>,
}

/// Connections that may wait to be accepted; the system cuts it to its own bound (`net.core.somaxconn`).
const BACKLOG: i32 = 4096;

/// What sockets are called (`FileDescriptorName=` of a socket unit).
pub const API: &str = "api";
pub const METRICS: &str = "metrics";
pub const TLS: &str = "tls";
const NAMES: [&str; 3] = [API, METRICS, TLS];

impl Inherited {
    /// To be called once, while there is one thread: the variables are taken out of the environment.
    pub fn from_env() -> Result<Self, Failure> {
        let names = std::env::var(common::LISTEN_FDNAMES).unwrap_or_default();
        let sockets = ListenFd::from_env();
        let names: Vec<String> = if names.is_empty() {
            NAMES.iter().take(sockets.len()).map(|name| (*name).to_owned()).collect()
        } else {
            names.split(':').map(str::to_owned).collect()
        };
        let unknown = names.iter().find(|name| !NAMES.contains(&name.as_str()));
        match unknown {
            Some(name) if sockets.len() > 0 => Err(Failure::usage(format_args!(
                "a socket called {name:?} was passed to this process; name it one of {} (FileDescriptorName=)",
                NAMES.join(", ")
            ))),
            _ if names.len() < sockets.len() => Err(Failure::usage(format_args!(
                "{} sockets were passed to this process; it takes {}: {}",
                sockets.len(),
                NAMES.len(),
                NAMES.join(", ")
            ))),
            _ => Ok(Self { sockets, names }),
        }
    }

    /// The socket of that name, or a new one on `address`, which `flag` sets.
    pub fn or_listen(&mut self, name: &str, flag: &str, address: SocketAddr) -> Result<TcpListener, Failure> {
        let at = self.names.iter().position(|known| known == name).filter(|at| *at < self.sockets.len());
        let taken = at.map(|at| self.sockets.take_tcp_listener(at)).transpose();
        let taken = taken.map_err(|error| {
            Failure::usage(format_args!("the socket {name:?} that was passed to this process: {error}"))
        })?;
        let listener = match taken.flatten() {
            Some(listener) => Ok(listener),
            None => TcpListener::bind(address).and_then(|listener| {
                // The library's backlog is 128, and who does not fit in is made to wait for a second.
                rustix::net::listen(&listener, BACKLOG)?;
                Ok(listener)
            }),
        };
        listener
            .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
            .map_err(|error| refused(flag, address, &error))
    }
}

fn refused(flag: &str, address: SocketAddr, error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::AddrInUse => Failure::usage(format_args!(
            "{address} is in use by another program; stop it, or choose another address with {flag}"
        )),
        io::ErrorKind::PermissionDenied => Failure::usage(format_args!(
            "cannot listen on {address}: ports below 1024 need root; choose another with {flag}"
        )),
        _ => Failure::usage(format_args!("cannot listen on {address}: {error}; choose another with {flag}")),
    }
}
