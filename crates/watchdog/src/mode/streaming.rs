//! One process a request: its stdin is the request's body, its stdout the answer's, both at the same time.
//!
//! The header is held back until the process has said something, so that a failure before that has an honest status;
//! a failure after it ends the connection, so that no caller takes a part for the whole.

use std::pin::Pin;
use std::task::{Context as TaskContext, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout_at};

use super::{Context, Forking, internal, refuse_environment};
use crate::body::{BodyError, Output, RequestBody};
use crate::log::Stream;
use crate::process::{self, Exit, Running};

const CHUNK_MAX: usize = 64 * 1024;

pub async fn call(forking: &Forking, request: Request<RequestBody>, context: &Context) -> Response<Output> {
    let (head, body) = request.into_parts();
    let variables = match process::from_request(&head) {
        Ok(variables) => variables,
        Err(error) => return refuse_environment(&error),
    };
    let child = match process::spawn(&forking.reaper, &forking.command, variables, context.slot.clone()) {
        Ok(child) => child,
        Err(error) => {
            forking.log.note(format!("failed to start the function: {error}"));
            return internal(StatusCode::INTERNAL_SERVER_ERROR);
        }
    };
    tokio::spawn(forking.log.clone().relay(child.stderr, Stream::Stderr));
    let input = tokio::spawn(feed(body, child.stdin)).abort_handle();
    let mut output = Box::new(ProcessBody {
        first: None,
        stdout: Some(child.stdout),
        buffer: BytesMut::new(),
        running: Some(child.running),
        input,
    });

    let deadline = forking.exec_timeout.map(|limit| context.started + limit);
    let first = until(deadline, output.begin(head.method == Method::HEAD)).await;
    let mut response = match first {
        None => {
            forking.log.note("function killed: exec_timeout passed");
            return internal(StatusCode::GATEWAY_TIMEOUT);
        }
        Some(Err(error)) => {
            forking.log.note(format!("function failed: {error}"));
            return internal(StatusCode::INTERNAL_SERVER_ERROR);
        }
        Some(Ok(false)) => Response::new(Output::Empty),
        Some(Ok(true)) => Response::new(Output::Process(output)),
    };
    if let Some(deadline) = deadline {
        context.deadline.cut(deadline);
    }
    response.headers_mut().insert(CONTENT_TYPE, forking.content_type.clone());
    response
}

/// `None` when the deadline came first.
pub async fn until<T>(deadline: Option<Instant>, future: impl Future<Output = T>) -> Option<T> {
    match deadline {
        Some(deadline) => timeout_at(deadline, future).await.ok(),
        None => Some(future.await),
    }
}

/// A process may end without having read everything; that is its right, so a broken pipe is no error.
async fn feed(mut body: RequestBody, mut stdin: pipe::Sender) {
    while let Some(Ok(frame)) = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await
    {
        if let Ok(data) = frame.into_data()
            && stdin.write_all(&data).await.is_err()
        {
            return;
        }
    }
}

/// Dropped before its end, it ends the process.
pub struct ProcessBody {
    /// Before `stdout`, since it is dropped first: a process hears of its end before it meets a broken pipe.
    running: Option<Running>,
    first: Option<Bytes>,
    stdout: Option<pipe::Receiver>,
    buffer: BytesMut,
    input: AbortHandle,
}

impl ProcessBody {
    /// Waits for the first bytes, or for the end: `false` when there is nothing to send.
    async fn begin(&mut self, discard: bool) -> Result<bool, BodyError> {
        loop {
            match std::future::poll_fn(|context| self.poll_chunk(context)).await {
                None => return Ok(false),
                Some(Err(error)) => return Err(error),
                Some(Ok(_)) if discard => {}
                Some(Ok(chunk)) => {
                    self.first = Some(chunk);
                    return Ok(true);
                }
            }
        }
    }

    /// The end comes only after the process has ended well.
    pub fn poll_chunk(&mut self, context: &mut TaskContext<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        if let Some(stdout) = &self.stdout {
            match ready!(poll_read(stdout, &mut self.buffer, context)) {
                Ok(0) => self.stdout = None,
                Ok(_) => return Poll::Ready(Some(Ok(self.buffer.split().freeze()))),
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
            }
        }
        let Some(running) = &mut self.running else { return Poll::Ready(None) };
        let exit: Exit = ready!(running.poll_exited(context));
        if let Some(running) = self.running.take() {
            running.settle();
        }
        Poll::Ready((!exit.is_success()).then_some(Err(BodyError::Function(exit))))
    }
}

impl Drop for ProcessBody {
    fn drop(&mut self) {
        self.input.abort();
    }
}

fn poll_read(
    stdout: &pipe::Receiver,
    buffer: &mut BytesMut,
    context: &mut TaskContext<'_>,
) -> Poll<std::io::Result<usize>> {
    loop {
        ready!(stdout.poll_read_ready(context))?;
        buffer.reserve(CHUNK_MAX / 4);
        match stdout.try_read_buf(buffer) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            other => return Poll::Ready(other),
        }
    }
}
