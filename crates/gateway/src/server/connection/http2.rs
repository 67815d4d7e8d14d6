//! A client's connection that speaks HTTP/2, and its bounds.

mod calls;
mod request;

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use provider::Body;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::Rules;
use crate::body::Answer;
use crate::stall::Unstalled;
use calls::{Calls, Streams};

/// Calls of one client at once; its further ones wait, or are refused when it does not keep to it.
const STREAMS_MAX: u32 = 256;
/// What may be on its way to us, of one request and of all: so much memory a client can take.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// What is held of one answer beyond what the client takes.
const SEND_BUFFER: usize = 128 * 1024;
/// Requests taken back before they were looked at, and frames that were wrong: more of them end the connection.
const EARLY_RESETS_MAX: usize = 64;
const ERRORS_MAX: usize = 256;
/// A client that is gone without a word is found out by its silence.
const PING_EVERY: Duration = Duration::from_secs(30);
const PONG_WITHIN: Duration = Duration::from_secs(20);

/// Serves until a side closes, or nothing was asked for the read timeout (at most twice as long); when it is to stop,
/// until what is under way has ended.
pub(super) async fn serve<I, S, F>(rules: &Rules, stream: I, service: S)
where
    I: AsyncRead + AsyncWrite + Unpin,
    S: Fn(Request<Incoming>) -> F,
    F: Future<Output = Response<Answer>> + Send + 'static,
{
    let calls = Arc::new(Calls::default());
    let service = service_fn(|request| {
        let call = calls.begin();
        let bodiless = request.method() == Method::HEAD;
        let answer = request::admit(request).map(&service);
        async move {
            let answer = match answer {
                Ok(answer) => answer.await,
                Err(refused) => refused.response().map(Answer::from),
            };
            // hyper sends what it is given, and here nothing may follow the head (RFC 9110, section 9.3.2).
            let body_of = |body| if bodiless { Body::Empty.into() } else { body };
            Ok::<_, Infallible>(answer.map(|body| call.carry(body_of(body))))
        }
    });
    let streams = Streams::new(Arc::clone(&calls), rules.write_timeout);
    let stream = TokioIo::new(Unstalled::new(stream, rules.write_timeout));
    let mut connection = std::pin::pin!(builder(rules, streams).serve_connection(stream, service));
    let served = tokio::select! {
        biased;
        served = connection.as_mut() => Some(served),
        // No grace is needed: what a client asks for after a goodbye it knows to ask for again.
        () = rules.stop.begins() => None,
        () = calls.cease(rules.read_timeout) => None,
        () = calls.abused() => return tracing::debug!("a client took back too many calls"),
    };
    let served = match served {
        Some(served) => served,
        None => {
            connection.as_mut().graceful_shutdown();
            loop {
                match timeout(rules.write_timeout, connection.as_mut()).await {
                    Ok(served) => break served,
                    Err(_) if calls.under_way() > 0 => {}
                    Err(_) => return tracing::debug!("a client did not take its leave"),
                }
            }
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection broke off");
    }
}

fn builder(rules: &Rules, streams: Streams) -> http2::Builder<Streams> {
    let mut builder = http2::Builder::new(streams);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(u32::try_from(rules.head_max).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(EARLY_RESETS_MAX)
        .max_local_error_reset_streams(ERRORS_MAX)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PONG_WITHIN);
    builder
}
