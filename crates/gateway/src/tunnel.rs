//! What follows a 101: the client's connection and the function's are one, byte for byte, until both sides are through.
//!
//! Silence ends no tunnel, for a chat may rest for hours; a peer that vanished is found by TCP's own probes. Once a side
//! has ended its half, the other one may finish, but not be silent for longer than a call may be. A client that takes
//! none of what is there for it is given up after the write timeout, as ever.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use provider::http1::UpgradedStream;
use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::body::Answer;
use crate::stall::Unstalled;

/// What one read may bring, on the stack; only what the other side does not take at once is held.
const SCRATCH: usize = 16 * 1024;
/// How long a function may take none of what is there for it. While it does, nothing is read of the client, and so
/// nobody would notice that it has left.
const FULL_MAX: Duration = Duration::from_secs(15 * 60);
/// When an idle connection is first probed, how often, and how many unanswered probes end it.
const PROBE_AFTER: Duration = Duration::from_secs(60);
const PROBE_INTERVAL: Duration = Duration::from_secs(15);
const PROBES: u32 = 4;

/// The function's side of it, and the call, which is under way until it ends: its place, its replica's count and its
/// metrics are in the answer.
pub(crate) struct Tunnel {
    function: Unstalled<UpgradedStream>,
    call: Answer,
}

impl Tunnel {
    pub fn new(function: UpgradedStream, call: Answer) -> Self {
        probe(&function);
        Self { function: Unstalled::new(function, FULL_MAX), call }
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

/// One direction. It reads no more before what it has read is taken, and holds nothing while it waits for more.
struct Half {
    left: Bytes,
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
        Self { left: early, ended: Ended::No, moved: 0 }
    }

    /// Ready when `from` has ended, and `to` has been told.
    fn poll<R, W>(&mut self, cx: &mut Context<'_>, from: &mut R, to: &mut W) -> Poll<io::Result<()>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        loop {
            while !self.left.is_empty() {
                let written = ready!(poll_write(cx, to, &self.left))?;
                self.left.advance(written);
                self.moved += written as u64;
            }
            self.left = Bytes::new();
            match self.ended {
                Ended::Both => return Poll::Ready(Ok(())),
                Ended::Reading => {
                    ready!(Pin::new(&mut *to).poll_shutdown(cx))?;
                    self.ended = Ended::Both;
                }
                Ended::No => ready!(self.poll_pass(cx, from, to))?,
            }
        }
    }

    /// Reads once, and keeps what is not taken at once.
    fn poll_pass<R, W>(&mut self, cx: &mut Context<'_>, from: &mut R, to: &mut W) -> Poll<io::Result<()>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let mut scratch = [const { MaybeUninit::uninit() }; SCRATCH];
        let mut scratch = ReadBuf::uninit(&mut scratch);
        if Pin::new(from).poll_read(cx, &mut scratch)?.is_pending() {
            // What is between may gather: TLS does.
            ready!(Pin::new(to).poll_flush(cx))?;
            return Poll::Pending;
        }
        let read = scratch.filled();
        if read.is_empty() {
            self.ended = Ended::Reading;
            return Poll::Ready(Ok(()));
        }
        let written = match poll_write(cx, to, read) {
            Poll::Ready(written) => written?,
            Poll::Pending => 0,
        };
        self.moved += written as u64;
        self.left = Bytes::copy_from_slice(&read[written..]);
        Poll::Ready(Ok(()))
    }
}

/// Never nothing.
fn poll_write(
    cx: &mut Context<'_>,
    to: &mut (impl AsyncWrite + Unpin),
    bytes: &[u8],
) -> Poll<io::Result<usize>> {
    match ready!(Pin::new(to).poll_write(cx, bytes))? {
        0 => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
        written => Poll::Ready(Ok(written)),
    }
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

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[tokio::test]
    async fn what_a_listener_accepts_is_probed_as_it_is() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        probe(&listener);
        let address = listener.local_addr().unwrap();
        let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (accepted, _) = accepted.unwrap();
        assert!(sockopt::socket_keepalive(&accepted).unwrap());
        assert_eq!(sockopt::tcp_keepidle(&accepted).unwrap(), PROBE_AFTER);
        assert_eq!(sockopt::tcp_keepintvl(&accepted).unwrap(), PROBE_INTERVAL);
        assert_eq!(sockopt::tcp_keepcnt(&accepted).unwrap(), PROBES);
        assert!(!sockopt::socket_keepalive(client.unwrap()).unwrap());
    }

    #[tokio::test]
    async fn what_a_side_does_not_take_is_bounded() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};

        const BYTES: usize = 64 * 1024 * 1024;
        let (mut writer, mut near) = tokio::io::duplex(1024);
        let (mut far, mut reader) = tokio::io::duplex(1024);
        let (mut up, mut down) = (Half::new(Bytes::new()), Half::new(Bytes::new()));
        let passing = std::future::poll_fn(move |cx| {
            let upwards = up.poll(cx, &mut near, &mut far)?;
            let downwards = down.poll(cx, &mut far, &mut near)?;
            assert!(up.left.len() <= SCRATCH && down.left.len() <= SCRATCH);
            if upwards.is_ready() && downwards.is_ready() {
                Poll::Ready(io::Result::Ok(()))
            } else {
                Poll::Pending
            }
        });
        let write = async {
            let piece = vec![b'x'; 1 << 20];
            for _ in 0..BYTES >> 20 {
                writer.write_all(&piece).await.unwrap();
            }
            writer.shutdown().await.unwrap();
            let mut answer = String::new();
            writer.read_to_string(&mut answer).await.unwrap();
            answer
        };
        let read = async {
            let (mut piece, mut read) = (vec![0; 100_000], 0);
            while let Ok(more @ 1..) = reader.read(&mut piece).await {
                assert!(piece[..more].iter().all(|byte| *byte == b'x'));
                read += more;
            }
            reader.write_all(b"all of it").await.unwrap();
            drop(reader);
            read
        };
        let (passed, answer, read) = tokio::join!(passing, write, read);
        passed.unwrap();
        assert_eq!((answer.as_str(), read), ("all of it", BYTES));
    }
}
