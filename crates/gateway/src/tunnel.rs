//! What follows a 101: the client's connection and the function's are one, byte for byte, until both sides are through.
//!
//! Silence ends no tunnel, for a chat may rest for hours; a peer that vanished is found by TCP's own probes. Once a side
//! has ended its half, the other one may finish, but not be silent for longer than a call may be.

use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use provider::http1::UpgradedStream;
use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::body::Answer;

/// What is held of one direction: read, and not taken by the other side yet.
const BUFFER: usize = 16 * 1024;
/// When an idle connection is first probed, how often, and how many unanswered probes end it.
const PROBE_AFTER: Duration = Duration::from_secs(60);
const PROBE_INTERVAL: Duration = Duration::from_secs(15);
const PROBES: u32 = 4;

/// The function's side of it, and the call, which is under way until it ends: its place, its replica's count and its
/// metrics are in the answer.
pub(crate) struct Tunnel {
    function: UpgradedStream,
    call: Answer,
}

impl Tunnel {
    pub fn new(function: UpgradedStream, call: Answer) -> Self {
        probe(&function);
        Self { function, call }
    }

    /// Passes bytes both ways; `early` is what the client has sent behind its request. How a tunnel ends is the
    /// business of its ends.
    pub async fn run<S: AsyncRead + AsyncWrite + Unpin>(
        mut self,
        mut client: S,
        early: Bytes,
    ) -> io::Result<()> {
        let half_closed_timeout = self.call.idle_timeout();
        let (mut up, mut down) = (Half::new(early), Half::new(Bytes::new()));
        let mut deadline: Option<Pin<Box<Sleep>>> = None;
        std::future::poll_fn(move |cx| {
            let moved = up.moved + down.moved;
            let (client, function) = (&mut client, &mut self.function);
            let upwards = up.poll(cx, client, function)?;
            let downwards = down.poll(cx, function, client)?;
            if upwards.is_ready() && downwards.is_ready() {
                return Poll::Ready(Ok(()));
            }
            if upwards.is_pending() && downwards.is_pending() {
                return Poll::Pending;
            }
            let end = Instant::now() + half_closed_timeout;
            let deadline = deadline.get_or_insert_with(|| Box::pin(sleep_until(end)));
            if up.moved + down.moved != moved {
                deadline.as_mut().reset(end);
            }
            ready!(deadline.as_mut().poll(cx));
            Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
        })
        .await
    }
}

/// One direction. It reads no more before what it has read is taken.
struct Half {
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    /// What came before the first read.
    early: Bytes,
    ended: Ended,
    /// Bytes in all.
    moved: u64,
}

enum Ended {
    No,
    Reading,
    Both,
}

impl Half {
    fn new(early: Bytes) -> Self {
        Self { buffer: vec![0; BUFFER].into(), start: 0, end: 0, early, ended: Ended::No, moved: 0 }
    }

    /// Ready when `from` has ended, and `to` has been told.
    fn poll<R, W>(&mut self, cx: &mut Context<'_>, from: &mut R, to: &mut W) -> Poll<io::Result<()>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        loop {
            while !self.left().is_empty() {
                let written = ready!(Pin::new(&mut *to).poll_write(cx, self.left()))?;
                if written == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.take(written);
            }
            match self.ended {
                Ended::Both => return Poll::Ready(Ok(())),
                Ended::Reading => {
                    ready!(Pin::new(&mut *to).poll_shutdown(cx))?;
                    self.ended = Ended::Both;
                }
                Ended::No => match poll_read(cx, from, &mut self.buffer) {
                    Poll::Ready(read) => self.read(read?),
                    Poll::Pending => {
                        // What is between may gather: TLS does.
                        ready!(Pin::new(&mut *to).poll_flush(cx))?;
                        return Poll::Pending;
                    }
                },
            }
        }
    }

    fn left(&self) -> &[u8] {
        if self.early.is_empty() { &self.buffer[self.start..self.end] } else { &self.early }
    }

    fn take(&mut self, written: usize) {
        self.moved += written as u64;
        if self.early.is_empty() {
            self.start += written;
        } else {
            drop(self.early.split_to(written));
        }
    }

    fn read(&mut self, read: usize) {
        (self.start, self.end) = (0, read);
        if read == 0 {
            self.ended = Ended::Reading;
        }
    }
}

/// How much came; 0 is the end.
fn poll_read(
    cx: &mut Context<'_>,
    from: &mut (impl AsyncRead + Unpin),
    buffer: &mut [u8],
) -> Poll<io::Result<usize>> {
    let mut buffer = ReadBuf::new(buffer);
    ready!(Pin::new(from).poll_read(cx, &mut buffer))?;
    Poll::Ready(Ok(buffer.filled().len()))
}

/// Lets the kernel find out when the other end is gone without a word. Connections that a listener accepts have it from
/// the listener.
pub(crate) fn probe(socket: &impl AsFd) {
    let probed = sockopt::set_socket_keepalive(socket, true)
        .and_then(|()| sockopt::set_tcp_keepidle(socket, PROBE_AFTER))
        .and_then(|()| sockopt::set_tcp_keepintvl(socket, PROBE_INTERVAL))
        .and_then(|()| sockopt::set_tcp_keepcnt(socket, PROBES));
    if let Err(error) = probed {
        tracing::debug!(%error, "a connection is not probed");
    }
}
