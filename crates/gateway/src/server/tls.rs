//! TLS in front of a connection: the handshake, within a time and beside so many others.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, sink};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::server::ResolvesServerCert;
use tokio_rustls::rustls::{self, ServerConfig};
use tokio_rustls::server::TlsStream;

use super::connection::{Protocol, Rules};
use crate::Config;
use crate::body::Answer;
use crate::peer::{Peer, Scheme};
use crate::stall::Unstalled;

/// What is offered to clients, the best first.
const PROTOCOLS: [&[u8]; 2] = [HTTP_2, b"http/1.1"];
const HTTP_2: &[u8] = b"h2";
/// What is read of a client that does not speak TLS.
const UNREAD_MAX: u64 = 64 * 1024;
/// The first byte of a handshake (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;
const PLAIN: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\nconnection: close\r\n\
    content-length: 46\r\n\r\nthis port speaks TLS: use https:// to reach it";

/// What waits to be sent, waits below TLS as well: a flush or a goodbye there is cut off like any other write.
type Secured = TlsStream<Unstalled<TcpStream>>;

/// A socket whose connections are secured, and who chooses the certificate.
#[derive(Debug)]
pub struct TlsListener {
    pub listener: TcpListener,
    pub certificates: Arc<dyn ResolvesServerCert>,
}

impl TlsListener {
    pub(super) fn begin(self, config: &Config) -> io::Result<(TcpListener, Handshakes)> {
        let tls = server_config(self.certificates).map_err(io::Error::other)?;
        Ok((self.listener, Handshakes::new(tls, config)))
    }
}

fn server_config(certificates: Arc<dyn ResolvesServerCert>) -> Result<ServerConfig, rustls::Error> {
    let mut tls = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    tls.alpn_protocols = PROTOCOLS.iter().map(|name| name.to_vec()).collect();
    // A client that comes back resumes its session without anything being kept for it here.
    tls.ticketer = ring::Ticketer::new()?;
    Ok(tls)
}

/// The way from a connection to one that is secured.
#[derive(Clone)]
pub(super) struct Handshakes {
    acceptor: TlsAcceptor,
    places: Arc<Semaphore>,
    /// From the connection to the end of the handshake, the wait for a place among it.
    timeout: Duration,
    write_timeout: Duration,
}

impl Handshakes {
    fn new(tls: ServerConfig, config: &Config) -> Self {
        Self {
            acceptor: Arc::new(tls).into(),
            places: Arc::new(Semaphore::new(config.handshakes_max)),
            timeout: config.handshake_timeout,
            write_timeout: config.write_timeout,
        }
    }

    /// Serves the client once it has made its handshake.
    pub async fn serve<S, F>(self, rules: Rules, stream: TcpStream, peer: SocketAddr, service: S)
    where
        S: Fn(Request<Incoming>, Arc<Peer>) -> F,
        F: Future<Output = Response<Answer>> + Send + 'static,
    {
        let Some(secured) = self.secure(stream).await else { return };
        let protocol = match secured.get_ref().1.alpn_protocol() {
            Some(HTTP_2) => Protocol::Http2,
            _ => Protocol::Http1,
        };
        rules.serve_as(protocol, secured, Arc::new(Peer::new(peer, Scheme::Https)), service).await;
    }

    /// None when there is nothing more to do for the client.
    async fn secure(&self, stream: TcpStream) -> Option<Secured> {
        match timeout(self.timeout, self.shake(stream)).await {
            Ok(Ok(secured)) => secured,
            Ok(Err(error)) => {
                tracing::debug!(%error, "a handshake failed");
                None
            }
            Err(_) => {
                tracing::debug!("a handshake took too long");
                None
            }
        }
    }

    async fn shake(&self, mut stream: TcpStream) -> io::Result<Option<Secured>> {
        // An answer is one write, and waits for nothing.
        stream.set_nodelay(true)?;
        let mut first = [0];
        if stream.peek(&mut first).await? == 0 {
            return Ok(None);
        }
        if first[0] != HANDSHAKE {
            // Whoever sends a request here in plain text learns why it is of no use.
            if first[0].is_ascii_uppercase() {
                stream.write_all(PLAIN).await?;
                stream.shutdown().await?;
                // Closing on what is unread would reset the connection, and with it lose the answer.
                copy(&mut stream.take(UNREAD_MAX), &mut sink()).await?;
            }
            return Ok(None);
        }
        // Not before it speaks: those who say nothing must not take the places of those who do. Never closed, so there is
        // always a permit.
        let _place = self.places.acquire().await.ok();
        self.acceptor.accept(Unstalled::new(stream, self.write_timeout)).await.map(Some)
    }
}
