//! One process a request, everything held: the whole body in, the whole output out, a failure is always a 500.

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::{Request, Response, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::time::Instant;

use super::{Context, Forking, refuse_environment, set_duration, streaming::until, text};
use crate::body::{BodyError, Output, RequestBody, WHOLE_MAX};
use crate::log::Stream;
use crate::process::{self, Exit, Running, SpawnError, Variables};

pub async fn call(forking: &Forking, request: Request<RequestBody>, context: &Context) -> Response<Output> {
    let (head, body) = request.into_parts();
    let variables = match process::from_request(&head) {
        Ok(variables) => variables,
        Err(error) => return refuse_environment(&error),
    };
    let input = match body.collect().await {
        Ok(input) => input,
        Err(error) => return refuse_body(&error),
    };
    let mut response = match run(forking, variables, input, context).await {
        Ok(output) => Response::new(Output::Whole(output)),
        Err(failure) => {
            forking.log.note(format!("function failed: {failure}"));
            let mut response = Response::new(Output::Whole(failure.to_string().into()));
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            response
        }
    };
    response.headers_mut().insert(CONTENT_TYPE, forking.content_type.clone());
    set_duration(response.headers_mut(), context.started);
    response
}

/// Callers read these texts; they are Go's.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    #[error("{0}")]
    Exit(Exit),
    #[error("signal: killed")]
    Timeout,
    #[error(
        "the function's output is larger than {WHOLE_MAX} bytes, the most that mode serializing holds; use mode streaming"
    )]
    TooLarge,
    #[error("cannot read the function's output: {0}")]
    Read(#[from] std::io::Error),
}

async fn run(
    forking: &Forking,
    variables: Variables,
    input: Bytes,
    context: &Context,
) -> Result<Bytes, Failure> {
    let child = process::spawn(&forking.reaper, &forking.command, variables, context.slot.clone())?;
    tokio::spawn(forking.log.clone().relay(child.stderr, Stream::Stderr));
    let deadline = forking.exec_timeout.map(|limit| Instant::now() + limit);
    let mut running = child.running;
    let finished = until(deadline, exchange(input, child.stdin, child.stdout, &mut running)).await;
    let (output, exit) = finished.ok_or(Failure::Timeout)??;
    running.settle();
    if exit.is_success() { Ok(output) } else { Err(Failure::Exit(exit)) }
}

async fn exchange(
    input: Bytes,
    mut stdin: pipe::Sender,
    mut stdout: pipe::Receiver,
    running: &mut Running,
) -> Result<(Bytes, Exit), Failure> {
    let feeding = async move {
        // A process that does not read its input may still succeed.
        let _ = stdin.write_all(&input).await;
    };
    let reading = async {
        let mut output = BytesMut::new();
        while stdout.read_buf(&mut output).await? > 0 {
            if output.len() > WHOLE_MAX {
                return Err(Failure::TooLarge);
            }
        }
        Ok((output.freeze(), running.exited().await))
    };
    // Not a join: a grandchild that keeps stdin open must not hold the answer back.
    tokio::pin!(feeding, reading);
    tokio::select! {
        biased;
        result = &mut reading => result,
        () = &mut feeding => reading.await,
    }
}

fn refuse_body(error: &BodyError) -> Response<Output> {
    let status = match error {
        BodyError::ReadTimeout => StatusCode::REQUEST_TIMEOUT,
        BodyError::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        _ => StatusCode::BAD_REQUEST,
    };
    text(status, error.to_string())
}
