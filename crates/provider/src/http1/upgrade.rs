//! The raw stream after `101 Switching Protocols`.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// The extension of a `101` response that holds its stream. Its clones share it; the first [`Upgraded::take`] gets it,
/// and when the last clone is dropped untaken, the stream is closed.
#[derive(Clone, Debug)]
pub struct Upgraded(Arc<Mutex<Option<UpgradedStream>>>);

/// A connection that no longer speaks HTTP. Reads give first what came behind the response's head.
#[derive(Debug)]
pub struct UpgradedStream {
    leftover: Bytes,
    stream: TcpStream,
}

impl Upgraded {
    pub(super) fn new(stream: TcpStream, leftover: Bytes) -> Self {
        Self(Arc::new(Mutex::new(Some(UpgradedStream { leftover, stream }))))
    }

    pub fn take(&self) -> Option<UpgradedStream> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl AsFd for UpgradedStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl AsyncRead for UpgradedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.leftover.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let take = self.leftover.len().min(buf.remaining());
        buf.put_slice(&self.leftover[..take]);
        self.leftover.advance(take);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for UpgradedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
