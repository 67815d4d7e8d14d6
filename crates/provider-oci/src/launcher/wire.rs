//! The words between platform, launcher and worker: one JSON message per packet, file descriptors beside it.
//!
//! A packet is small and bounded; a container's spec, which may be large, travels as a sealed memory file.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::container::Exit;

const PACKET_BYTES_MAX: usize = 32 * 1024;
const REASON_BYTES_MAX: usize = 4 * 1024;
const FDS_MAX: usize = 4;

/// From the platform to the launcher.
#[derive(Debug, Serialize, Deserialize)]
pub enum Request {
    /// With the spec's memory file, stdout and stderr, and the memory file of the secrets where there are any.
    Run { id: String, secrets: bool },
    /// SIGTERM now, SIGKILL after the grace.
    Stop { id: String, grace_ms: u64 },
}

/// From the launcher to the platform.
#[derive(Debug, Serialize, Deserialize)]
pub enum Event {
    /// What an earlier launcher left is gone; requests are served.
    Ready,
    /// The launcher cannot work and ends.
    Unable {
        reason: String,
    },
    /// With the network namespace.
    Started {
        id: String,
        pid: i32,
    },
    /// What there was of it is being removed.
    NotStarted {
        id: String,
        reason: String,
    },
    /// Nothing was done.
    Refused {
        id: String,
        reason: String,
    },
    Exited {
        id: String,
        exit: Exit,
    },
    /// Nothing of the container is left on the host.
    Removed {
        id: String,
    },
}

/// From a worker to the launcher.
#[derive(Debug, Serialize, Deserialize)]
pub enum Outcome {
    /// With the network namespace.
    Started {
        pid: i32,
    },
    Failed {
        reason: String,
    },
}

pub fn send(socket: impl AsFd, message: &impl Serialize, fds: &[BorrowedFd<'_>]) -> rustix::io::Result<()> {
    let packet = serde_json::to_vec(message).map_err(|_| rustix::io::Errno::INVAL)?;
    if packet.len() > PACKET_BYTES_MAX {
        return Err(rustix::io::Errno::MSGSIZE);
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(rustix::io::Errno::INVAL);
    }
    let sent = rustix::io::retry_on_intr(|| {
        rustix::net::sendmsg(&socket, &[IoSlice::new(&packet)], &mut control, SendFlags::NOSIGNAL)
    })?;
    debug_assert_eq!(sent, packet.len(), "a packet is sent whole");
    Ok(())
}

/// `None` when the other end is gone. Descriptors that this process has no room for are missing: the message still
/// counts, and what it is about can fail alone. `recvmsg(2)`, MSG_CTRUNC
pub fn receive<M: DeserializeOwned>(socket: impl AsFd) -> rustix::io::Result<Option<(M, Vec<OwnedFd>)>> {
    let mut packet = [0_u8; PACKET_BYTES_MAX];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = rustix::io::retry_on_intr(|| {
        rustix::net::recvmsg(
            &socket,
            &mut [IoSliceMut::new(&mut packet)],
            &mut control,
            RecvFlags::CMSG_CLOEXEC,
        )
    });
    let received = match received {
        Err(rustix::io::Errno::CONNRESET) => return Ok(None),
        other => other?,
    };
    let mut fds = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            fds.extend(rights);
        }
    }
    if received.bytes == 0 {
        return Ok(None);
    }
    if received.flags.intersects(ReturnFlags::TRUNC) {
        return Err(rustix::io::Errno::MSGSIZE);
    }
    let message = serde_json::from_slice(&packet[..received.bytes]).map_err(|_| rustix::io::Errno::BADMSG)?;
    Ok(Some((message, fds)))
}

/// An error and its sources on one line, short enough for a packet.
pub fn reason(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        source = inner.source();
    }
    bounded(text)
}

pub fn bounded(mut text: String) -> String {
    let mut end = REASON_BYTES_MAX.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}
