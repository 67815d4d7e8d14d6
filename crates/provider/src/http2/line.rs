//! One connection: how it is made, its task, and a call over it.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use h2::client::{self, Connection, ResponseFuture, SendRequest};
use http::header::CONTENT_LENGTH;
use http::{Request, Response, Version};
use http_body::Body as _;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{interval_at, timeout};

use super::SendError;
use super::pool::Pool;
use super::response_body::ResponseBody;
use super::upload::Upload;
use crate::body::Body;
use crate::http1::Dial;

/// What may be on its way to us: of one answer, and of all over one connection. Answers are held for no longer than
/// their readers take, so this much memory a connection may take.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 2 * 1024 * 1024;
const FRAME_MAX: u32 = 64 * 1024;
const HEAD_MAX: u32 = 64 * 1024;
/// What is held of one request's body beyond what the endpoint takes.
const SEND_BUFFER: usize = 256 * 1024;
/// Streams that were reset here, whose last frames may still come.
const RESETS_REMEMBERED: usize = 1024;
/// How long saying goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// A connection that speaks HTTP/2. Its task ends when nobody holds it.
pub(super) struct Line {
    sender: SendRequest<Bytes>,
    /// Changed under the lock of the pool where it grows.
    in_flight: AtomicUsize,
    /// Calls that it ever carried.
    uses: AtomicU64,
    /// Told to the task by being dropped.
    _held: oneshot::Sender<()>,
}

/// A call's place on a connection; free again when dropped.
pub(super) struct Place {
    line: Arc<Line>,
    pool: Weak<Pool>,
}

/// A request that got no response.
pub(super) enum Failure {
    /// The endpoint processed nothing of it, and here is its body.
    Unsent {
        error: h2::Error,
        body: Body,
    },
    Sent(SendError),
}

impl Line {
    /// How many calls more it carries.
    pub fn room(&self, streams_max: usize) -> usize {
        let max = self.sender.current_max_send_streams().min(streams_max);
        max.saturating_sub(self.in_flight.load(Ordering::Acquire))
    }

    pub fn take(self: &Arc<Self>, pool: &Arc<Pool>) -> Place {
        self.in_flight.fetch_add(1, Ordering::AcqRel);
        self.uses.fetch_add(1, Ordering::Relaxed);
        Place { line: Arc::clone(self), pool: Arc::downgrade(pool) }
    }

    pub fn is_idle(&self) -> bool {
        self.in_flight.load(Ordering::Acquire) == 0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.line.in_flight.fetch_sub(1, Ordering::AcqRel);
        if let Some(pool) = self.pool.upgrade() {
            pool.freed();
        }
    }
}

/// Connects, and returns when the endpoint has told its settings, which is before any call is sent: a server of
/// another protocol gets none, and no call goes beyond what the endpoint allows.
pub(super) async fn open(dial: &dyn Dial, connect_timeout: Duration) -> io::Result<(Arc<Line>, Task)> {
    let opened = timeout(connect_timeout, async {
        let stream = dial.dial().await?;
        stream.set_nodelay(true)?;
        let (sender, mut connection) = client::Builder::new()
            .initial_max_send_streams(0)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_frame_size(FRAME_MAX)
            .max_header_list_size(HEAD_MAX)
            .max_send_buffer_size(SEND_BUFFER)
            .max_concurrent_reset_streams(RESETS_REMEMBERED)
            .enable_push(false)
            .handshake(stream)
            .await
            .map_err(into_io)?;
        poll_fn(|cx| match Pin::new(&mut connection).poll(cx) {
            Poll::Ready(Ok(())) => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            Poll::Ready(Err(error)) => Poll::Ready(Err(into_io(error))),
            Poll::Pending if connection.max_concurrent_send_streams() > 0 => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
        })
        .await?;
        Ok::<_, io::Error>((sender, connection))
    });
    let (sender, connection) = opened.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    let (held, dropped) = oneshot::channel();
    let line = Line { sender, in_flight: AtomicUsize::new(0), uses: AtomicU64::new(0), _held: held };
    Ok((Arc::new(line), Task { connection, dropped }))
}

/// What drives a connection.
pub(super) struct Task {
    connection: Connection<TcpStream, Bytes>,
    dropped: oneshot::Receiver<()>,
}

impl Task {
    /// Until the connection ends, or nobody holds it any more.
    pub async fn run(mut self, line: Weak<Line>, pool: Weak<Pool>, idle_timeout: Duration) {
        let mut ticks = interval_at(tokio::time::Instant::now() + idle_timeout, idle_timeout);
        let mut uses = 0;
        let ended = loop {
            tokio::select! {
                biased;
                ended = &mut self.connection => break Some(ended),
                _ = &mut self.dropped => break None,
                _ = ticks.tick() => {
                    let (Some(line), Some(pool)) = (line.upgrade(), pool.upgrade()) else { continue };
                    let used = line.uses.load(Ordering::Relaxed);
                    if std::mem::replace(&mut uses, used) == used {
                        pool.retire_idle(&line);
                    }
                }
            }
        };
        match ended {
            Some(ended) => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection to a replica broke off");
                }
                if let (Some(line), Some(pool)) = (line.upgrade(), pool.upgrade()) {
                    pool.retire(&line);
                }
            }
            // Without senders and streams it takes its leave by itself.
            None => drop(timeout(GOODBYE, self.connection).await),
        }
    }
}

impl Place {
    /// Sends a request and waits for the head of its response.
    pub async fn exchange(self, head: Request<()>, body: Body) -> Result<Response<Body>, Failure> {
        let ends = body.is_end_stream();
        let sent = self.line.sender.clone().send_request(head, ends);
        let (answer, stream) = match sent {
            Ok(sent) => sent,
            Err(error) => {
                // It takes no more: the endpoint has said goodbye, or is gone.
                self.retire();
                return Err(match error.is_io() || error.is_go_away() {
                    true => Failure::Unsent { error, body },
                    false => Failure::Sent(SendError::Upstream(error)),
                });
            }
        };
        let mut upload = Upload::new((!ends).then_some(stream), body);
        match answered(answer, &mut upload).await {
            Ok(response) => Ok(self.respond(response, upload)),
            Err(SendError::Upstream(error)) if is_unprocessed(&error) => {
                if error.is_go_away() {
                    self.retire();
                }
                match upload.reclaim() {
                    Some(body) => Err(Failure::Unsent { error, body }),
                    None => Err(Failure::Sent(SendError::Upstream(error))),
                }
            }
            Err(error) => Err(Failure::Sent(error)),
        }
    }

    fn retire(&self) {
        if let Some(pool) = self.pool.upgrade() {
            pool.retire(&self.line);
        }
    }

    fn respond(self, response: Response<h2::RecvStream>, upload: Upload) -> Response<Body> {
        let (mut parts, stream) = response.into_parts();
        parts.version = Version::HTTP_11;
        if stream.is_end_stream() {
            return Response::from_parts(parts, Body::Empty);
        }
        let length = parts.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let body = Body::boxed(ResponseBody::new(stream, upload.go_on(), length, self));
        Response::from_parts(parts, body)
    }
}

/// Sends the body until the head of the answer is there.
async fn answered(
    answer: ResponseFuture,
    upload: &mut Upload,
) -> Result<Response<h2::RecvStream>, SendError> {
    let mut answer = pin!(answer);
    poll_fn(|cx: &mut Context<'_>| {
        if let Poll::Ready(Err(error)) = upload.poll(cx) {
            return Poll::Ready(Err(SendError::RequestBody(error)));
        }
        answer.as_mut().poll(cx).map_err(SendError::Upstream)
    })
    .await
}

/// RFC 9113, 8.7: what was refused, and what came after the last stream that a goodbye names. An error of that kind is
/// told to no other stream.
fn is_unprocessed(error: &h2::Error) -> bool {
    error.is_remote()
        && (error.is_go_away() || (error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM)))
}

fn into_io(error: h2::Error) -> io::Error {
    if error.is_io() {
        error.into_io().unwrap_or_else(|| io::ErrorKind::Other.into())
    } else {
        io::Error::new(io::ErrorKind::InvalidData, error)
    }
}
