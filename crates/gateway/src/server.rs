//! The two servers: the API with the calls, and the metrics. One loop accepts, one task serves a connection.

mod connection;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::body::Answer;
use crate::front::{answer, scrape};
use crate::{Config, Gateway, Inner};
use connection::Rules;

/// Connections to the metrics server at once.
const SCRAPERS_MAX: usize = 64;
/// After an accept that failed: descriptors may have run out, and asking again at once would only burn the processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
impl Gateway {
    /// Serves until `shutdown`; then accepts no more, lets what is under way end for as long as `drain_timeout`, and
    /// cuts what is left.
    pub async fn serve(
        &self,
        listener: TcpListener,
        metrics: TcpListener,
        shutdown: impl Future<Output = ()>,
        drain_timeout: Duration,
    ) -> io::Result<()> {
        let draining = CancellationToken::new();
        let drained = CancellationToken::new();
        let api = Server::new(&self.0.config, self.0.config.connections_max, draining.clone());
        let scrapes = Server::new(&self.0.config, SCRAPERS_MAX, drained.clone());
        let calls = async {
            let gateway = Arc::clone(&self.0);
            let left =
                api.run(listener, move |request, peer| answer(Arc::clone(&gateway), request, peer)).await;
            finish(left, &self.0, drain_timeout).await;
            drained.cancel();
        };
        let metrics = async {
            let gateway = Arc::clone(&self.0);
            scrapes
                .run(metrics, move |request, _| scrape(Arc::clone(&gateway), request))
                .await
                .shutdown()
                .await;
        };
        let stop = async {
            shutdown.await;
            draining.cancel();
        };
        tokio::join!(calls, metrics, stop);
        Ok(())
    }
}

/// One listening socket.
struct Server {
    rules: Rules,
    places: Arc<Semaphore>,
}

impl Server {
    fn new(config: &Config, connections_max: usize, stop: CancellationToken) -> Self {
        Self { rules: Rules::new(config, stop), places: Arc::new(Semaphore::new(connections_max)) }
    }

    /// Accepts until it is to stop; the connections that are left are told to end after what is under way.
    async fn run<S, F>(&self, listener: TcpListener, service: S) -> JoinSet<()>
    where
        S: Fn(Request<Incoming>, HeaderValue) -> F + Clone + Send + 'static,
        F: Future<Output = Response<Answer>> + Send + 'static,
    {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                () = self.rules.stop.cancelled() => return connections,
                Some(_) = connections.join_next() => {}
                (stream, peer, place) = self.accept(&listener) => {
                    let (rules, service) = (self.rules.clone(), service.clone());
                    connections.spawn(async move {
                        rules.serve(stream, peer, service).await;
                        drop(place);
                    });
                }
            }
        }
    }

    async fn accept(&self, listener: &TcpListener) -> (TcpStream, SocketAddr, Option<OwnedSemaphorePermit>) {
        // Never closed, so there is always a permit.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => return (stream, peer, place),
                Err(error) => {
                    tracing::warn!(%error, "failed to accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// Waits for what is under way, the changes that clients did not wait for among it.
async fn finish(mut connections: JoinSet<()>, gateway: &Inner, drain_timeout: Duration) {
    gateway.tasks.close();
    let all = async {
        while connections.join_next().await.is_some() {}
        gateway.tasks.wait().await;
    };
    if timeout(drain_timeout, all).await.is_err() {
        tracing::warn!(connections = connections.len(), "the drain timeout cuts off what is left");
    }
    connections.shutdown().await;
}
