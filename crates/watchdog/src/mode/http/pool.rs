//! Connections to the function's server: a few idle ones are kept, for so short that servers have not closed them yet.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, sleep};

use crate::body::RequestBody;
use crate::config::UpstreamUrl;

const IDLE_MAX: usize = 100;
const HEADERS_MAX: usize = 512;
const IDLE_TIME_MAX: Duration = Duration::from_secs(1);

pub struct Pool {
    pub upstream: UpstreamUrl,
    idle: Mutex<Idle>,
}

#[derive(Default)]
struct Idle {
    senders: Vec<(SendRequest<RequestBody>, Instant)>,
    sweeping: bool,
}

pub struct Lease {
    pub sender: SendRequest<RequestBody>,
    /// It served an earlier call, so the other side may have closed it in the meantime.
    pub reused: bool,
    pool: Arc<Pool>,
}

#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("cannot connect to the function: {0}")]
    Connect(#[from] io::Error),
    #[error("cannot speak to the function: {0}")]
    Handshake(#[from] hyper::Error),
}

impl Pool {
    pub fn new(upstream: UpstreamUrl) -> Self {
        Self { upstream, idle: Mutex::default() }
    }

    pub async fn lease(self: &Arc<Self>, fresh: bool) -> Result<Lease, ConnectError> {
        while !fresh && let Some(sender) = self.take() {
            if !sender.is_ready() {
                // Its task has yet to notice that the last answer is over.
                tokio::task::yield_now().await;
            }
            if sender.is_ready() {
                return Ok(Lease { sender, reused: true, pool: self.clone() });
            }
        }
        Ok(Lease { sender: self.connect().await?, reused: false, pool: self.clone() })
    }

    pub async fn connect(&self) -> Result<SendRequest<RequestBody>, ConnectError> {
        let stream = self.upstream.connect().await?;
        let (sender, connection) = Builder::new()
            .title_case_headers(true)
            .max_headers(HEADERS_MAX)
            .handshake(TokioIo::new(stream))
            .await?;
        // Its errors reach the call that uses it; it ends when its sender is dropped.
        tokio::spawn(connection.with_upgrades());
        Ok(sender)
    }

    pub fn put(self: &Arc<Self>, sender: SendRequest<RequestBody>) {
        let mut idle = self.idle();
        if sender.is_closed() || idle.senders.len() >= IDLE_MAX {
            return;
        }
        idle.senders.push((sender, Instant::now()));
        if !idle.sweeping {
            idle.sweeping = true;
            tokio::spawn(self.clone().sweep());
        }
    }

    /// The youngest, so that the others may age.
    fn take(&self) -> Option<SendRequest<RequestBody>> {
        let (sender, since) = self.idle().senders.pop()?;
        (since.elapsed() < IDLE_TIME_MAX).then_some(sender)
    }

    async fn sweep(self: Arc<Self>) {
        loop {
            sleep(IDLE_TIME_MAX).await;
            let mut idle = self.idle();
            idle.senders.retain(|(sender, since)| !sender.is_closed() && since.elapsed() < IDLE_TIME_MAX);
            if idle.senders.is_empty() {
                idle.sweeping = false;
                return;
            }
        }
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    pub fn give_back(self) {
        self.pool.put(self.sender);
    }
}
