#![allow(dead_code)]
//! A gateway on free ports, and raw exchanges with it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gateway::{Config, Gateway};
use provider::Provider;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Longest that anything in these tests may take.
pub const PATIENCE: Duration = Duration::from_secs(10);

pub struct Served {
    pub api: SocketAddr,
    pub metrics: SocketAddr,
    pub gateway: Gateway,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<()>,
}

impl Served {
    pub async fn start(provider: Arc<dyn Provider>, config: Config) -> Self {
        Self::start_draining(provider, config, PATIENCE).await
    }

    pub async fn start_draining(
        provider: Arc<dyn Provider>,
        config: Config,
        drain_timeout: Duration,
    ) -> Self {
        let api = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let metrics = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addresses = (api.local_addr().expect("address"), metrics.local_addr().expect("address"));
        let gateway = Gateway::new(provider, config);
        let (stop, stopped) = oneshot::channel();
        let served = gateway.clone();
        let serving = tokio::spawn(async move {
            let shutdown = async { drop(stopped.await) };
            served.serve(api, metrics, shutdown, drain_timeout).await.expect("serve");
        });
        Self { api: addresses.0, metrics: addresses.1, gateway, stop: Some(stop), serving }
    }

    /// Tells it to stop; [`Served::stop`] then waits until it has.
    pub fn begin_stop(&mut self) {
        drop(self.stop.take());
    }

    pub async fn stop(mut self) {
        self.begin_stop();
        tokio::time::timeout(PATIENCE * 2, self.serving)
            .await
            .expect("it stops in time")
            .expect("it does not panic");
    }
}
