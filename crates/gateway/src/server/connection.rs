//! One client's connection.

mod http2;
mod sniff;

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::stop::Stop;
use crate::Config;
use crate::alarm::Alarms;
use crate::body::Answer;
use crate::peer::{Peer, Scheme};
use crate::stall::Unstalled;

/// What is still read of a client after the last answer to it.
const LINGER_BYTES_MAX: usize = 4 * 1024 * 1024;
const LINGER_MAX: Duration = Duration::from_secs(1);

/// What is spoken on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

#[derive(Clone)]
pub(super) struct Rules {
    pub stop: Stop,
    http: http1::Builder,
    head_max: usize,
    read_timeout: Duration,
    write_timeout: Duration,
    drain_grace: Duration,
}

impl Rules {
    pub fn new(config: &Config, stop: Stop) -> Self {
        // Without `pipeline_flush`: it keeps an answer back while half of another request is in the buffer, and the
        // answer to a bad head for ever.
        let mut http = http1::Builder::new();
        http.timer(Alarms)
            .header_read_timeout(config.read_timeout)
            .max_header_size(config.head_max)
            .max_buf_size(config.head_max.max(64 * 1024));
        Self {
            stop,
            http,
            head_max: config.head_max,
            read_timeout: config.read_timeout,
            write_timeout: config.write_timeout,
            drain_grace: config.drain_grace,
        }
    }

    /// Serves a client without TLS, whichever HTTP it speaks.
    pub async fn serve<S, F>(self, stream: TcpStream, peer: SocketAddr, service: S)
    where
        S: Fn(Request<Incoming>, Arc<Peer>) -> F,
        F: Future<Output = Response<Answer>> + Send + 'static,
    {
        if let Err(error) = stream.set_nodelay(true) {
            return tracing::debug!(%error, "a connection is gone already");
        }
        let told = tokio::select! {
            biased;
            told = timeout(self.read_timeout, sniff::protocol(&stream)) => told.ok(),
            () = self.stop.begins() => timeout(self.drain_grace, sniff::protocol(&stream)).await.ok(),
        };
        let Some(Ok(protocol)) = told else {
            return tracing::debug!("a client said nothing");
        };
        self.serve_as(protocol, stream, Arc::new(Peer::new(peer, Scheme::Http)), service).await;
    }

    /// Serves until a side closes; when it is to stop, until what is under way has ended.
    pub async fn serve_as<I, S, F>(self, protocol: Protocol, stream: I, peer: Arc<Peer>, service: S)
    where
        I: AsyncRead + AsyncWrite + Unpin,
        S: Fn(Request<Incoming>, Arc<Peer>) -> F,
        F: Future<Output = Response<Answer>> + Send + 'static,
    {
        match protocol {
            Protocol::Http1 => self.http1(stream, peer, service).await,
            // Boxed, so that a connection of the other kind does not keep room for it.
            Protocol::Http2 => {
                let service = |request| service(request, Arc::clone(&peer));
                Box::pin(http2::serve(&self, stream, service)).await;
            }
        }
    }

    async fn http1<I, S, F>(&self, stream: I, peer: Arc<Peer>, service: S)
    where
        I: AsyncRead + AsyncWrite + Unpin,
        S: Fn(Request<Incoming>, Arc<Peer>) -> F,
        F: Future<Output = Response<Answer>>,
    {
        let stop = &self.stop;
        let service = service_fn(|request| {
            let answer = service(request, Arc::clone(&peer));
            async move {
                let mut answer = answer.await;
                if stop.has_begun() && answer.status() != StatusCode::SWITCHING_PROTOCOLS {
                    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, Infallible>(answer)
            }
        });
        let mut stream = TokioIo::new(Unstalled::new(stream, self.write_timeout));
        let mut connection = self.http.serve_connection(&mut stream, service);
        let mut serving = Pin::new(&mut connection);
        let served = tokio::select! {
            biased;
            served = serving.as_mut() => served,
            () = self.stop.begins() => match timeout(self.drain_grace, serving.as_mut()).await {
                Ok(served) => served,
                Err(_) => {
                    serving.as_mut().graceful_shutdown();
                    serving.await
                }
            },
        };
        if let Err(error) = served {
            tracing::debug!(%error, "a connection broke off");
        }
        if let Some(tunnel) = peer.take_tunnel() {
            let early = connection.into_parts().read_buf;
            let ended = tunnel.run(stream.into_inner(), early).await;
            return tracing::debug!(error = ended.err().map(tracing::field::display), "a tunnel has ended");
        }
        if !self.stop.has_begun() {
            linger(stream.into_inner().into_inner()).await;
        }
    }
}

/// Reads on after the last answer: closing on a client that still sends would reset the connection, and with it lose
/// the answer that tells it why.
async fn linger(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut left = LINGER_BYTES_MAX;
    let mut scratch = vec![0; 4096];
    let read_off = async {
        let _ = stream.shutdown().await;
        while let Ok(read @ 1..) = stream.read(&mut scratch).await {
            left = left.saturating_sub(read);
            if left == 0 {
                break;
            }
        }
    };
    let _ = timeout(LINGER_MAX, read_off).await;
}
