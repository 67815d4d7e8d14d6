//! The HTTP/2 client of the data path, for functions that speak it without TLS (`h2c`, prior knowledge), as gRPC
//! servers do: one per endpoint, over a few connections that many calls share.
//!
//! The future of [`Client::send`] sends the request and waits for the head of the response; what is left of the request's
//! body then, is sent by a task that ends with the response's. To cancel is to drop either: the stream is reset. A
//! connection has one task. It lives on the runtime that the client was made for, not on the caller's, which
//! may end before others have been answered; and it ends with the last who can use it.
//!
//! Hop-by-hop headers are the caller's, apart from those that HTTP/2 forbids. Deadlines are the caller's too, apart
//! from that of connecting.

mod line;
mod pool;
mod replica;
mod request;
mod response_body;
mod upload;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::uri::Authority;
use http::{Method, Request, Response};
use tokio::runtime::Handle;

use crate::body::{Body, BoxError};
use crate::http1::Dial;
use pool::Pool;

pub use replica::Http2Replica;
pub use response_body::BodyError;

/// How often a call that was not processed is sent again to the same endpoint.
const RETRIES: usize = 2;

/// The bounds of a client.
#[derive(Clone, Debug)]
pub struct Config {
    /// How long connecting may take, the exchange of settings included.
    pub connect_timeout: Duration,
    /// How long a connection is kept without a call; at most twice as long.
    pub idle_timeout: Duration,
    /// Connections at once. Another one is made when those there are carry as many calls as the endpoint allows; when
    /// all of them do, calls wait.
    pub connections_max: usize,
    /// Calls at once over one connection; the endpoint may allow fewer.
    pub streams_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(1),
            idle_timeout: Duration::from_secs(60),
            connections_max: 8,
            streams_max: 1000,
        }
    }
}

/// Why a request got no response.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// Nothing was sent, or the endpoint said that it processed nothing of it: the request, whole, may go elsewhere.
    #[error("failed to connect to the upstream")]
    Connect {
        #[source]
        source: io::Error,
        request: Box<Request<Body>>,
    },
    /// The request is one that this client does not send.
    #[error("the request cannot be forwarded: {0}")]
    Unsupported(&'static str),
    /// The sender of the request failed, not the upstream.
    #[error("the request's body failed")]
    RequestBody(#[source] BoxError),
    #[error("the upstream broke off before it answered")]
    Upstream(#[source] h2::Error),
}

/// Sends requests to one endpoint. When it is dropped, its connections close as soon as no call is under way.
pub struct Client {
    pool: Arc<Pool>,
}

impl Client {
    /// `runtime` is where the connections live.
    pub fn new(dial: Arc<dyn Dial>, config: Config, runtime: Handle) -> Self {
        Self { pool: Arc::new(Pool::new(dial, config, runtime)) }
    }

    /// Returns when the endpoint speaks HTTP/2: it has told its settings.
    ///
    /// # Errors
    ///
    /// When it cannot be connected to, or speaks something else.
    pub async fn reach(&self) -> io::Result<()> {
        self.pool.place().await.map(drop)
    }

    /// Sends a request to `authority`, with the path and query of its URI, byte for byte.
    ///
    /// # Errors
    ///
    /// [`SendError::Connect`] returns the request; after every other error it may have been acted upon.
    pub async fn send(
        &self,
        authority: &Authority,
        request: Request<Body>,
    ) -> Result<Response<Body>, SendError> {
        let (parts, mut body) = request.into_parts();
        if parts.method == Method::CONNECT {
            return Err(SendError::Unsupported("it is a CONNECT, and the upstream is not a proxy"));
        }
        let mut tries = 0;
        loop {
            let place = match self.pool.place().await {
                Ok(place) => place,
                Err(source) => return Err(unsent(source, parts, body)),
            };
            match place.exchange(request::head(&parts, authority), body).await {
                Ok(response) => return Ok(response),
                Err(line::Failure::Unsent { body: again, .. }) if tries < RETRIES => body = again,
                Err(line::Failure::Unsent { error, body }) => {
                    return Err(unsent(io::Error::other(error), parts, body));
                }
                Err(line::Failure::Sent(error)) => return Err(error),
            }
            tries += 1;
        }
    }

    /// How many connections there are.
    pub fn connections(&self) -> usize {
        self.pool.len()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.pool.close();
    }
}

fn unsent(source: io::Error, parts: Parts, body: Body) -> SendError {
    SendError::Connect { source, request: Box::new(Request::from_parts(parts, body)) }
}
