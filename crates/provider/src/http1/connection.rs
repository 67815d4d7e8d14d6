//! One connection to an upstream: the stream, its two buffers, and the exchange that is under way on it.

use std::future::poll_fn;
use std::io;
use std::os::fd::AsFd;
use std::pin::pin;
use std::sync::Weak;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use http::header::UPGRADE;
use http::request::Parts;
use http::{Method, Response, StatusCode};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::pool::Pool;
use super::response::{self, Framing, HEAD_MAX, Head};
use super::upload::Upload;
use super::{Config, END_OF_HEAD, ResponseBody, SendError, Upgraded, request, seat};
use crate::body::Body;

/// What one read may bring at first, and at most when an upstream fills every read.
const READ_FIRST: usize = 8 * 1024;
const READ_MAX: usize = 64 * 1024;
/// How many interim (1xx) responses are skipped before a final one.
const INTERIM_MAX: u32 = 16;

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    pub(super) input: BytesMut,
    pub(super) upload: Upload,
    pool: Weak<Pool>,
    /// Where it was opened, and is kept.
    pub(super) seat: usize,
    read_size: usize,
    /// How much of `input` is known to hold no end of a head.
    scanned: usize,
    /// A response came over it before.
    used: bool,
    keep_alive: bool,
    /// A byte of the response under way has come.
    heard: bool,
}

/// A request that got no response.
pub(super) struct Failure {
    pub(super) error: SendError,
    /// The body, when the request may be sent again on another connection.
    pub(super) unsent: Option<Body>,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, pool: Weak<Pool>) -> Box<Self> {
        Box::new(Self {
            stream,
            input: BytesMut::with_capacity(READ_FIRST),
            upload: Upload::default(),
            pool,
            seat: seat::current(),
            read_size: READ_FIRST,
            scanned: 0,
            used: false,
            keep_alive: false,
            heard: false,
        })
    }

    /// Sends the request and reads the head of its response.
    pub(super) async fn exchange(
        mut self: Box<Self>,
        parts: &Parts,
        body: Body,
        config: &Config,
    ) -> Result<Response<Body>, Failure> {
        let held = request::expects_continue(&parts.headers);
        self.heard = false;
        self.keep_alive = !request::closes(&parts.headers);
        self.upload.begin(parts, body, held);
        let answered = match self.gather().await {
            Ok(()) => self.head(&parts.method, held.then_some(config.continue_timeout)).await,
            Err(error) => Err(error),
        };
        match answered {
            Ok(head) => self.respond(head, parts).map_err(|error| Failure { error, unsent: None }),
            Err(error) => Err(self.fail(error, &parts.method)),
        }
    }

    /// Nothing has come over the idle connection: neither its end nor bytes that nobody asked for.
    pub(super) fn is_quiet(&self, idle: Duration) -> bool {
        /// After this long an upstream may have closed it, and the runtime may not have heard yet.
        const PROBE_AFTER: Duration = Duration::from_millis(50);
        let mut byte = [0];
        let waits = |read: io::Result<usize>| matches!(read, Err(e) if e.kind() == io::ErrorKind::WouldBlock);
        waits(self.stream.try_read(&mut byte)) && (idle < PROBE_AFTER || waits(self.peek(&mut byte)))
    }

    /// Ends the exchange: the connection goes back to its pool when both sides are through with it.
    pub(super) fn finish(mut self: Box<Self>, cx: &mut Context<'_>) {
        if !self.upload.is_done() {
            // The upstream has read all of it, the last write may just not have been seen through.
            let _ = self.upload.poll(&mut self.stream, cx);
        }
        if !(self.keep_alive && self.upload.is_done() && self.input.is_empty()) {
            return;
        }
        if let Some(pool) = self.pool.upgrade() {
            self.upload.clear();
            if self.read_size > READ_FIRST {
                // What a large body needed is not held while idle.
                self.read_size = READ_FIRST;
                self.input = BytesMut::new();
            }
            self.used = true;
            pool.put(self);
        }
    }

    /// Reads once; 0 is the end of the stream.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.input.capacity() - self.input.len() < self.read_size / 2 {
            self.input.reserve(self.read_size);
        }
        let room = self.input.capacity() - self.input.len();
        let read = ready!(pin!(self.stream.read_buf(&mut self.input)).poll(cx))?;
        if read == room {
            self.read_size = (self.read_size * 2).min(READ_MAX);
        }
        self.heard |= read > 0;
        Poll::Ready(Ok(read))
    }

    /// Gives a body that is nearly there the chance to travel with the head: asking for the first frame may be what
    /// makes it come, on the next turn of the task.
    async fn gather(&mut self) -> Result<(), SendError> {
        let mut asked = false;
        let gathered = poll_fn(|cx| match self.upload.poll_first(cx) {
            Poll::Pending if asked => Poll::Ready(Ok(())),
            Poll::Pending => {
                asked = true;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            ready => ready,
        });
        gathered.await.map_err(SendError::RequestBody)
    }

    async fn head(&mut self, method: &Method, patience: Option<Duration>) -> Result<Head, SendError> {
        let mut patience = patience.map(|patience| Box::pin(sleep(patience)));
        let mut interim = 0;
        poll_fn(|cx| {
            if let Some(timer) = &mut patience
                && timer.as_mut().poll(cx).is_ready()
            {
                patience = None;
                self.upload.release();
            }
            self.poll_head(cx, method, &mut interim)
        })
        .await
    }

    fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        method: &Method,
        interim: &mut u32,
    ) -> Poll<Result<Head, SendError>> {
        loop {
            if let Poll::Ready(Err(error)) = self.upload.poll(&mut self.stream, cx) {
                return Poll::Ready(Err(SendError::RequestBody(error)));
            }
            if self.upload.is_untouched()
                && let Some(error) = self.upload.take_failure()
            {
                return Poll::Ready(Err(SendError::Upstream(error)));
            }
            match self.take_head(method)? {
                Some(head) if is_final(head.status) => return Poll::Ready(Ok(head)),
                Some(_) if *interim == INTERIM_MAX => {
                    return Poll::Ready(Err(SendError::Parse("it is preceded by too many interim ones")));
                }
                Some(head) => {
                    *interim += 1;
                    if head.status == StatusCode::CONTINUE {
                        self.upload.release();
                    }
                    continue;
                }
                None => {}
            }
            match ready!(self.poll_fill(cx)) {
                Ok(0) => return Poll::Ready(Err(SendError::Closed)),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Err(SendError::Upstream(error))),
            }
        }
    }

    fn take_head(&mut self, method: &Method) -> Result<Option<Head>, SendError> {
        match response::find_end(&self.input, self.scanned) {
            Some(end) if end <= HEAD_MAX => {
                self.scanned = 0;
                response::take(&mut self.input, end, method).map(Some)
            }
            None if self.input.len() < HEAD_MAX => {
                if self.scanned == 0 && !self.input.is_empty() {
                    response::check_partial(&self.input)?;
                }
                self.scanned = self.input.len().saturating_sub(END_OF_HEAD.len());
                Ok(None)
            }
            _ => Err(SendError::TooLarge),
        }
    }

    fn respond(mut self: Box<Self>, head: Head, parts: &Parts) -> Result<Response<Body>, SendError> {
        self.keep_alive &= head.keep_alive;
        let mut response = Response::new(Body::Empty);
        *response.status_mut() = head.status;
        *response.version_mut() = head.version;
        *response.headers_mut() = head.headers;
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            if !parts.headers.contains_key(UPGRADE) || !self.upload.is_done() {
                return Err(SendError::Parse("it switches protocols, which was not asked for"));
            }
            let Self { stream, input, .. } = *self;
            response.extensions_mut().insert(Upgraded::new(stream, input.freeze()));
            return Ok(response);
        }
        *response.body_mut() = match head.framing {
            Framing::Empty => {
                self.end();
                Body::Empty
            }
            Framing::Length(length) if self.input.len() as u64 >= length && self.upload.is_done() => {
                // Not truncating: the whole body is in the buffer.
                let body = self.input.split_to(length as usize).freeze();
                self.end();
                Body::Full(body)
            }
            framing => {
                self.upload.unhurried();
                Body::Upstream(ResponseBody::new(self, framing))
            }
        };
        Ok(response)
    }

    /// Ends the exchange outside of a poll.
    fn end(self: Box<Self>) {
        self.finish(&mut Context::from_waker(std::task::Waker::noop()));
    }

    fn fail(&mut self, error: SendError, method: &Method) -> Failure {
        let broken = matches!(error, SendError::Closed | SendError::Upstream(_));
        let untouched = self.upload.is_untouched();
        // An idempotent request may be sent twice; any other only when nothing of it was sent (RFC 9110, 9.2.2).
        let again = broken && (untouched || (self.used && !self.heard && method.is_idempotent()));
        Failure { error, unsent: again.then(|| self.upload.reclaim()).flatten() }
    }

    /// Asks the kernel itself, past what the runtime has heard.
    fn peek(&self, byte: &mut [u8]) -> io::Result<usize> {
        std::net::TcpStream::from(self.stream.as_fd().try_clone_to_owned()?).peek(byte)
    }
}

fn is_final(status: StatusCode) -> bool {
    !status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS
}
