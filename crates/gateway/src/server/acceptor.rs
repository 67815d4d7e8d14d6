//! One listening socket, and how many of its connections there may be.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;

use super::stop::Stop;
use crate::tunnel::probe;

/// After an accept that failed: descriptors may have run out, and asking again at once would only burn the processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Connections taken out of the queue before the socket closes. The queue is about as long; where another process
/// listens on the same socket, it goes on filling.
const LAST_MAX: usize = 4096;

pub(super) struct Acceptor {
    listener: TcpListener,
    tls: bool,
    places: Arc<Semaphore>,
}

/// A client's connection, which nobody serves yet. It holds a place until it is dropped.
#[derive(Debug)]
pub(super) struct Accepted {
    pub stream: TcpStream,
    pub peer: SocketAddr,
    /// It came by the port that speaks TLS.
    pub tls: bool,
    pub place: Option<OwnedSemaphorePermit>,
}

impl Acceptor {
    pub fn new(listener: TcpListener, tls: bool, places: Arc<Semaphore>) -> Self {
        // What it accepts has it from here.
        probe(&listener);
        Self { listener, tls, places }
    }

    /// Accepts until `stop`, and then what has come until then: what is in the queue when a socket closes is reset.
    pub async fn run(self, stop: &Stop, mut hand_over: impl FnMut(Accepted)) {
        loop {
            tokio::select! {
                biased;
                () = stop.begins() => break,
                accepted = self.accept() => hand_over(accepted),
            }
        }
        for _ in 0..LAST_MAX {
            tokio::select! {
                biased;
                accepted = self.accept() => hand_over(accepted),
                () = std::future::ready(()) => break,
            }
        }
    }

    async fn accept(&self) -> Accepted {
        // Never closed, so there is always a permit.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    return Accepted { stream, peer, tls: self.tls, place };
                }
                Err(error) => {
                    tracing::warn!(%error, "failed to accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}
