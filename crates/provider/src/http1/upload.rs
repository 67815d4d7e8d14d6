//! The sending half of an exchange: the head, then the body frame by frame, each frame straight to the socket.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::request::Parts;
use http_body::{Body as _, Frame};
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;

use super::request::{self, Framing};
use crate::body::{Body, BoxError};

/// A head buffer that has grown beyond this is not kept for the next request.
const KEPT_MAX: usize = 16 * 1024;

#[derive(Debug)]
pub(super) struct Upload {
    state: State,
    body: Body,
    framing: Framing,
    /// The request's head or a chunk's size line, of which `sent` bytes are on their way.
    head: Vec<u8>,
    sent: usize,
    data: Bytes,
    tail: &'static [u8],
    /// Bytes that the socket took, all together.
    written: u64,
    taken: Taken,
}

#[derive(Debug)]
enum State {
    /// The body waits for `100 Continue`.
    Held,
    Sending,
    /// The body has ended; what is staged is still to be written.
    Ended,
    Failed(Option<io::Error>),
}

/// What has been taken out of the body, as far as it can be put back.
#[derive(Debug)]
enum Taken {
    Nothing,
    First(Bytes),
    More,
}

impl Default for Upload {
    fn default() -> Self {
        Self {
            state: State::Ended,
            body: Body::Empty,
            framing: Framing::Length(0),
            head: Vec::with_capacity(1024),
            sent: 0,
            data: Bytes::new(),
            tail: b"",
            written: 0,
            taken: Taken::Nothing,
        }
    }
}

impl Upload {
    /// Stages a request; a `held` body waits for [`Upload::release`].
    pub(super) fn begin(&mut self, parts: &Parts, body: Body, held: bool) {
        self.framing = request::write_head(&mut self.head, parts, &body);
        self.state = match self.framing {
            Framing::Length(0) => State::Ended,
            _ if held => State::Held,
            _ => State::Sending,
        };
        self.body = body;
        self.written = 0;
        self.taken = Taken::Nothing;
    }

    /// Begins sending a body that was held.
    pub(super) fn release(&mut self) {
        if matches!(self.state, State::Held) {
            self.state = State::Sending;
        }
    }

    /// The answer has begun: the rest of the body may come as it likes.
    pub(super) fn unhurried(&mut self) {
        self.body.unhurried();
    }

    /// Takes the first frame if it is there, so that it travels with the head in one write.
    pub(super) fn poll_first(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match self.state {
            State::Sending => {
                let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
                Poll::Ready(self.stage(frame))
            }
            _ => Poll::Ready(Ok(())),
        }
    }

    /// Sends what can be sent now. Only a failure of the body is an error here: when the socket fails, the answer
    /// may still be readable, see [`Upload::take_failure`].
    pub(super) fn poll(
        &mut self,
        stream: &mut TcpStream,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), BoxError>> {
        loop {
            if let State::Failed(_) = self.state {
                return Poll::Ready(Ok(()));
            }
            if let Err(error) = ready!(self.poll_flush(stream, cx)) {
                self.state = State::Failed(Some(error));
                return Poll::Ready(Ok(()));
            }
            match self.state {
                State::Held => return Poll::Pending,
                State::Ended | State::Failed(_) => return Poll::Ready(Ok(())),
                State::Sending => {
                    let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
                    self.stage(frame)?;
                }
            }
        }
    }

    /// Everything is with the socket, to the last byte.
    pub(super) fn is_done(&self) -> bool {
        matches!(self.state, State::Ended) && self.is_flushed()
    }

    /// Not one byte of the request left this process.
    pub(super) fn is_untouched(&self) -> bool {
        self.written == 0
    }

    /// Why the socket took no more, once.
    pub(super) fn take_failure(&mut self) -> Option<io::Error> {
        match &mut self.state {
            State::Failed(error) => error.take(),
            _ => None,
        }
    }

    /// The body as it was given, if it can be put together again.
    pub(super) fn reclaim(&mut self) -> Option<Body> {
        let body = std::mem::take(&mut self.body);
        match std::mem::replace(&mut self.taken, Taken::More) {
            Taken::Nothing => Some(body),
            Taken::First(first) => Some(Body::with_first(first, body)),
            Taken::More => None,
        }
    }

    /// Forgets the request before the connection is kept for the next.
    pub(super) fn clear(&mut self) {
        self.body = Body::Empty;
        self.taken = Taken::Nothing;
        if self.head.capacity() > KEPT_MAX {
            self.head = Vec::with_capacity(1024);
        }
    }

    fn is_flushed(&self) -> bool {
        self.sent == self.head.len() && self.data.is_empty() && self.tail.is_empty()
    }

    fn poll_flush(&mut self, stream: &mut TcpStream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.is_flushed() {
            let slices =
                [IoSlice::new(&self.head[self.sent..]), IoSlice::new(&self.data), IoSlice::new(self.tail)];
            let written = ready!(Pin::new(&mut *stream).poll_write_vectored(cx, &slices))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += written as u64;
            self.advance(written);
        }
        self.head.clear();
        self.sent = 0;
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, written: usize) {
        let head = written.min(self.head.len() - self.sent);
        self.sent += head;
        let data = (written - head).min(self.data.len());
        self.data.advance(data);
        self.tail = &self.tail[written - head - data..];
    }

    fn stage(&mut self, frame: Option<Result<Frame<Bytes>, BoxError>>) -> Result<(), BoxError> {
        let Some(frame) = frame.transpose()? else { return self.stage_end() };
        match frame.into_data() {
            Ok(data) if data.is_empty() => Ok(()),
            Ok(data) => {
                self.note_taken(&data);
                self.stage_data(data)
            }
            Err(frame) => {
                self.taken = Taken::More;
                match (self.framing, frame.into_trailers()) {
                    (Framing::Chunked, Ok(trailers)) => {
                        request::write_trailers(&mut self.head, &trailers);
                        self.end();
                        Ok(())
                    }
                    (Framing::Chunked, Err(_)) => Ok(()),
                    (Framing::Length(_), _) => self.stage_end(),
                }
            }
        }
    }

    fn stage_data(&mut self, data: Bytes) -> Result<(), BoxError> {
        let size = data.len() as u64;
        match self.framing {
            Framing::Length(left) if size > left => return Err("it is longer than its content-length".into()),
            Framing::Length(left) => {
                self.framing = Framing::Length(left - size);
                if left == size {
                    self.end();
                }
            }
            Framing::Chunked => {
                write_size(&mut self.head, size);
                self.tail = b"\r\n";
                if self.body.is_end_stream() {
                    self.tail = b"\r\n0\r\n\r\n";
                    self.end();
                }
            }
        }
        self.data = data;
        Ok(())
    }

    fn stage_end(&mut self) -> Result<(), BoxError> {
        match self.framing {
            Framing::Length(0) => {}
            Framing::Length(_) => return Err("it is shorter than its content-length".into()),
            Framing::Chunked => self.head.extend_from_slice(b"0\r\n\r\n"),
        }
        self.end();
        Ok(())
    }

    fn end(&mut self) {
        self.state = State::Ended;
        self.body = Body::Empty;
    }

    fn note_taken(&mut self, data: &Bytes) {
        self.taken = match self.taken {
            Taken::Nothing => Taken::First(data.clone()),
            _ => Taken::More,
        };
    }
}

fn write_size(out: &mut Vec<u8>, size: u64) {
    use std::io::Write;
    // Writing into a Vec does not fail.
    let _ = write!(out, "{size:x}\r\n");
}
