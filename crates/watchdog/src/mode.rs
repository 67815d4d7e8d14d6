//! How a request becomes an answer of the function: the modes, and what they share.

pub mod http;
pub mod serializing;
pub mod streaming;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ::http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use bytes::Bytes;
use tokio::time::Instant;

use crate::body::{Output, RequestBody};
use crate::config::{Config, ModeConfig};
use crate::connection::Deadline;
use crate::limit::Slot;
use crate::log::Log;
use crate::process::{EnvironmentError, Reaper};

pub enum Mode {
    Http(http::Http),
    Streaming(Forking),
    Serializing(Forking),
}

/// What the modes need that start one process a request.
pub struct Forking {
    command: Vec<String>,
    content_type: HeaderValue,
    exec_timeout: Option<Duration>,
    reaper: Arc<Reaper>,
    log: Log,
}

/// A call, as far as a mode has to know it.
pub struct Context {
    pub started: Instant,
    pub peer: IpAddr,
    pub slot: Option<Slot>,
    pub deadline: Arc<Deadline>,
}

impl Mode {
    pub fn new(config: &Config, reaper: &Arc<Reaper>, log: &Log) -> Self {
        let forking = || Forking {
            command: config.command.clone(),
            content_type: config.content_type.clone(),
            exec_timeout: config.timeouts.exec,
            reaper: reaper.clone(),
            log: log.clone(),
        };
        match &config.mode {
            ModeConfig::Http { upstream, buffer_body, start_timeout } => Mode::Http(http::Http::new(
                upstream.clone(),
                *buffer_body,
                *start_timeout,
                config.timeouts.exec,
                log.clone(),
            )),
            ModeConfig::Streaming => Mode::Streaming(forking()),
            ModeConfig::Serializing => Mode::Serializing(forking()),
        }
    }

    pub async fn call(&self, request: Request<RequestBody>, context: &Context) -> Response<Output> {
        match self {
            Mode::Http(http) => http.call(request, context).await,
            Mode::Streaming(forking) => streaming::call(forking, request, context).await,
            Mode::Serializing(forking) => serializing::call(forking, request, context).await,
        }
    }
}

/// An answer of the watchdog in the function's stead; the marker tells callers so.
pub fn internal(status: StatusCode) -> Response<Output> {
    let mut response = Response::new(Output::Empty);
    *response.status_mut() = status;
    mark(response.headers_mut());
    response
}

pub fn text(status: StatusCode, message: impl Into<Bytes>) -> Response<Output> {
    let mut response = Response::new(Output::Whole(message.into()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(::http::header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

fn mark(headers: &mut HeaderMap) {
    headers.insert("x-openfaas-internal", HeaderValue::from_static("of-watchdog"));
}

fn set_duration(headers: &mut HeaderMap, started: Instant) {
    let seconds = format!("{:.6}", started.elapsed().as_secs_f64());
    if let Ok(value) = HeaderValue::from_str(&seconds) {
        headers.insert("x-duration-seconds", value);
    }
}

fn refuse_environment(error: &EnvironmentError) -> Response<Output> {
    let status = match error {
        EnvironmentError::Path => StatusCode::BAD_REQUEST,
        EnvironmentError::TooLong => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
    };
    let mut response = text(status, error.to_string());
    mark(response.headers_mut());
    response
}
