//! Standard input as the body of a request: whole when it is small, so that its length can be told; else streamed.

use std::io::{IsTerminal, Read};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Frame;
use provider::{Body, BoxError};
use tokio::sync::mpsc;

use crate::error::Failure;

/// Up to here the request carries a Content-Length, which many servers insist on.
const WHOLE_MAX: usize = 8 * 1024 * 1024;
const CHUNK: usize = 64 * 1024;
/// Chunks read ahead of the network.
const AHEAD: usize = 4;

pub async fn body() -> Result<Body, Failure> {
    if std::io::stdin().is_terminal() {
        crate::printer::tell(
            "reading from the terminal; press Ctrl-D to end, or give < /dev/null for no body",
        );
    }
    let mut chunks = read_stdin();
    let mut first = Vec::new();
    while first.len() <= WHOLE_MAX {
        match chunks.recv().await {
            Some(Ok(chunk)) => first.extend_from_slice(&chunk),
            Some(Err(error)) => {
                return Err(Failure::general(format_args!("failed to read standard input: {error}")));
            }
            None => return Ok(first.into()),
        }
    }
    Ok(Body::boxed(Streamed { first: Some(first.into()), chunks }))
}

/// A thread of its own: nothing waits for it when the answer is there before the input ends.
fn read_stdin() -> mpsc::Receiver<std::io::Result<Bytes>> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    std::thread::spawn(move || {
        let mut stdin = std::io::stdin().lock();
        let mut buffer = vec![0; CHUNK];
        loop {
            let chunk = match stdin.read(&mut buffer) {
                Ok(0) => return,
                Ok(length) => Ok(Bytes::copy_from_slice(&buffer[..length])),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            let failed = chunk.is_err();
            if sender.blocking_send(chunk).is_err() || failed {
                return;
            }
        }
    });
    receiver
}

struct Streamed {
    first: Option<Bytes>,
    chunks: mpsc::Receiver<std::io::Result<Bytes>>,
}

impl http_body::Body for Streamed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        self.chunks.poll_recv(cx).map(|chunk| chunk.map(|chunk| chunk.map(Frame::data).map_err(Into::into)))
    }
}
