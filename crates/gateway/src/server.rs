//! The two servers: the API with the calls, on the workers; and the metrics. One loop accepts for each.

mod acceptor;
mod connection;
mod stop;
mod tls;
mod worker;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::exchange::answer;
use crate::front::scrape;
use crate::{Gateway, Inner};
use acceptor::{Accepted, Acceptor};
use connection::Rules;
use stop::Stop;
use tls::Handshakes;
use worker::Workers;

pub use tls::TlsListener;

/// Connections to the metrics server at once.
const SCRAPERS_MAX: usize = 64;

/// The sockets that are served. Another process may hold the same ones: they are closed here, not shut down.
#[derive(Debug)]
pub struct Listeners {
    pub api: TcpListener,
    /// For the same as `api`, secured.
    pub tls: Option<TlsListener>,
    pub metrics: TcpListener,
}

impl Gateway {
    /// Serves until `shutdown`; then says that it is not ready, accepts no more, lets what is under way end for as long
    /// as `drain_timeout`, and cuts what is left.
    ///
    /// # Errors
    ///
    /// When the threads that serve cannot be started.
    pub async fn serve(
        &self,
        listeners: Listeners,
        shutdown: impl Future<Output = ()>,
        drain_timeout: Duration,
    ) -> io::Result<()> {
        let (stop, drained) = (Stop::default(), Stop::default());
        let Listeners { api, tls, metrics } = listeners;
        let (tls, handshakes) = tls.map(|tls| tls.begin(&self.0.config)).transpose()?.unzip();
        let workers = self.workers(&stop, handshakes)?;
        let calls = async {
            // An acceptor keeps a place for the connection that comes next.
            let places = self.0.config.connections_max + usize::from(tls.is_some());
            let places = Arc::new(Semaphore::new(places));
            let api = Acceptor::new(api, false, Arc::clone(&places));
            let secured = async {
                if let Some(tls) = tls {
                    Acceptor::new(tls, true, places).run(&stop, |accepted| workers.hand_over(accepted)).await;
                }
            };
            tokio::join!(api.run(&stop, |accepted| workers.hand_over(accepted)), secured);
            drain(workers, &self.0, drain_timeout).await;
            drained.begin();
        };
        let end = async {
            shutdown.await;
            self.0.ending.store(true, Ordering::Relaxed);
            sleep(self.0.config.drain_delay).await;
            stop.begin();
            self.0.tasks.end();
        };
        tokio::join!(calls, self.scrapes(metrics, &drained), end);
        Ok(())
    }

    fn workers(&self, stop: &Stop, handshakes: Option<Handshakes>) -> io::Result<Workers> {
        Workers::start(self.0.config.workers, || {
            let rules = Rules::new(&self.0.config, stop.of_a_worker());
            let gateway = Arc::clone(&self.0);
            let handshakes = handshakes.clone();
            move |stream, peer, tls| {
                let gateway = Arc::clone(&gateway);
                let open = gateway.metrics.connection();
                let service = move |request, peer| answer(Arc::clone(&gateway), request, peer);
                let (rules, handshakes) = (rules.clone(), handshakes.clone().filter(|_| tls));
                async move {
                    match handshakes {
                        None => rules.serve(stream, peer, service).await,
                        // Boxed, so that a connection in plain text is not as large as this.
                        Some(handshakes) => Box::pin(handshakes.serve(rules, stream, peer, service)).await,
                    }
                    drop(open);
                }
            }
        })
    }

    /// Serves metrics as long as there are calls.
    async fn scrapes(&self, listener: TcpListener, stop: &Stop) {
        let rules = Rules::new(&self.0.config, stop.clone());
        let mut connections = JoinSet::new();
        let accept = |Accepted { stream, peer, place, .. }| {
            let gateway = Arc::clone(&self.0);
            let service = move |request, _| scrape(Arc::clone(&gateway), request);
            let served = rules.clone().serve(stream, peer, service);
            connections.spawn(async move {
                served.await;
                drop(place);
            });
            while connections.try_join_next().is_some() {}
        };
        let places = Arc::new(Semaphore::new(SCRAPERS_MAX));
        Acceptor::new(listener, false, places).run(stop, accept).await;
        connections.shutdown().await;
    }
}

/// Waits for what is under way, the changes that clients did not wait for among it.
async fn drain(workers: Workers, gateway: &Inner, drain_timeout: Duration) {
    let all = async {
        workers.idle().await;
        gateway.tasks.wait().await;
    };
    if timeout(drain_timeout, all).await.is_err() {
        tracing::warn!(connections = workers.connections(), "the drain timeout cuts off what is left");
    }
    workers.end().await;
}
