//! The HTTP/1.1 client of the data path: one per endpoint, over a bounded pool of idle connections.
//!
//! There is no task per connection. The future of [`Client::send`] writes the request and reads the head of the
//! response; the [`ResponseBody`] owns the connection from then on, and gives it back when it is read to its end. To
//! cancel is to drop either: the connection closes.
//!
//! Framing is the client's (RFC 9112): it writes `Content-Length`, or `Transfer-Encoding` with trailers, and reads
//! either. Other hop-by-hop headers are the caller's, in both directions: they go as they are given. So are deadlines,
//! apart from that of connecting.

mod chunked;
mod connection;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod pool;
mod request;
mod response;
mod response_body;
mod seat;
mod spare;
mod upgrade;
mod upload;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{Method, Request, Response};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::body::{Body, BoxError};
use connection::{Connection, Failure};
use pool::Pool;

pub(crate) use request::may_trail;
pub use response_body::{BodyError, ResponseBody};
pub use seat::Seat;
pub use upgrade::{Upgraded, UpgradedStream};

const END_OF_HEAD: &[u8] = b"\r\n\r\n";

/// The future of a new connection.
pub type Dialing<'a> = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send + 'a>>;

/// How to reach an endpoint.
pub trait Dial: Send + Sync + 'static {
    fn dial(&self) -> Dialing<'_>;
}

/// An endpoint is reached at its address when nothing else is between.
impl Dial for SocketAddr {
    fn dial(&self) -> Dialing<'_> {
        Box::pin(TcpStream::connect(*self))
    }
}

/// The bounds of a client.
#[derive(Clone, Debug)]
pub struct Config {
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long a body waits for `100 Continue` that its request asks for, before it is sent all the same.
    pub continue_timeout: Duration,
    /// How long a connection is kept without a request. Shorter than the 5 seconds after which common servers close
    /// theirs: a request that crosses the closing is lost.
    pub idle_timeout: Duration,
    /// How many idle connections are kept; see [`Seat`].
    pub idle_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(1),
            continue_timeout: Duration::from_secs(1),
            idle_timeout: Duration::from_secs(4),
            idle_max: 128,
        }
    }
}

/// Why a request got no response.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// Nothing was sent: the request, whole, may go elsewhere.
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
    #[error("the upstream closed the connection before it answered")]
    Closed,
    #[error("the connection to the upstream failed before it answered")]
    Upstream(#[source] io::Error),
    #[error("the upstream's answer is not valid HTTP/1.1: {0}")]
    Parse(&'static str),
    #[error("the head of the upstream's answer is larger than 64 KiB or 128 headers")]
    TooLarge,
}

/// Sends requests to one endpoint.
pub struct Client {
    dial: Arc<dyn Dial>,
    config: Config,
    pool: Arc<Pool>,
}

impl Client {
    pub fn new(dial: Arc<dyn Dial>, config: Config) -> Self {
        let pool = Arc::new(Pool::new(config.idle_max, config.idle_timeout));
        Self { dial, config, pool }
    }

    /// Sends a request over an idle connection or a new one.
    ///
    /// The target is the URI's path and query, byte for byte. When an idle connection turns out to be dead, the
    /// request is sent again on a new one if that is safe: nothing of it was sent, or its method is idempotent and
    /// its body can be put together again.
    ///
    /// # Errors
    ///
    /// [`SendError::Connect`] returns the request; after every other error it may have been acted upon.
    pub fn send(
        &self,
        request: Request<Body>,
    ) -> impl Future<Output = Result<Response<Body>, SendError>> + Send + '_ {
        // Taken apart out here: a future keeps room for its arguments beside what it makes of them.
        let (parts, body) = request.into_parts();
        self.send_parts(parts, body)
    }

    async fn send_parts(&self, parts: Parts, mut body: Body) -> Result<Response<Body>, SendError> {
        if parts.method == Method::CONNECT {
            return Err(SendError::Unsupported("it is a CONNECT, and the upstream is not a proxy"));
        }
        if let Some(connection) = self.pool.take() {
            match connection.exchange(&parts, body, &self.config).await {
                Ok(response) => return Ok(sent(parts, response)),
                Err(Failure { unsent: Some(unsent), .. }) => body = unsent,
                Err(Failure { error, .. }) => return Err(error),
            }
        }
        let connection = match self.connect().await {
            Ok(connection) => connection,
            Err(source) => return Err(unsent(source, parts, body)),
        };
        match connection.exchange(&parts, body, &self.config).await {
            Ok(response) => Ok(sent(parts, response)),
            Err(Failure { error: SendError::Upstream(source), unsent: Some(body) }) => {
                Err(unsent(source, parts, body))
            }
            Err(Failure { error, .. }) => Err(error),
        }
    }

    /// How many connections are idle.
    pub fn idle(&self) -> usize {
        self.pool.len()
    }

    /// Closes the idle connections; those in use are not touched.
    pub fn close_idle(&self) {
        self.pool.clear();
    }

    async fn connect(&self) -> io::Result<Box<Connection>> {
        let stream = timeout(self.config.connect_timeout, self.dial.dial())
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        stream.set_nodelay(true)?;
        Ok(Connection::new(stream, Arc::downgrade(&self.pool)))
    }
}

fn sent(parts: Parts, response: Response<Body>) -> Response<Body> {
    spare::put(parts.headers);
    response
}

fn unsent(source: io::Error, parts: Parts, body: Body) -> SendError {
    SendError::Connect { source, request: Box::new(Request::from_parts(parts, body)) }
}
