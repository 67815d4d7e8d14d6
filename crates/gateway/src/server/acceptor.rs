//! One listening socket, and how many of its connections there may be.

use std::io;
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
        self.accept_rest(hand_over);
    }

    /// Asks the kernel itself: a task that has done much is told by the runtime that nothing is there, lest it do more.
    fn accept_rest(self, mut hand_over: impl FnMut(Accepted)) {
        let Ok(listener) = self.listener.into_std() else { return };
        for _ in 0..LAST_MAX {
            let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else { return };
            match listener.accept() {
                Ok((stream, peer)) => match nonblocking(stream) {
                    Ok(stream) => hand_over(Accepted { stream, peer, tls: self.tls, place: Some(place) }),
                    Err(error) => tracing::debug!(%error, "a connection is gone already"),
                },
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // It is that connection that failed.
                Err(error) => tracing::warn!(%error, "failed to accept a connection"),
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

fn nonblocking(stream: std::net::TcpStream) -> io::Result<TcpStream> {
    stream.set_nonblocking(true)?;
    TcpStream::from_std(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_came_before_the_end_is_accepted() {
        const CLIENTS: usize = 500;
        let listener = TcpListener::from_std(crowded()).unwrap();
        let address = listener.local_addr().unwrap();
        let clients: Vec<_> = (0..CLIENTS).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
        let stop = Stop::default();
        stop.begin();
        let acceptor = Acceptor::new(listener, false, Arc::new(Semaphore::new(2 * CLIENTS)));
        let mut accepted = Vec::new();
        acceptor.run(&stop, |one| accepted.push(one)).await;
        assert_eq!(accepted.len(), clients.len());
    }

    /// A listener with a long queue.
    fn crowded() -> std::net::TcpListener {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        rustix::net::listen(&listener, 1024).unwrap();
        listener.set_nonblocking(true).unwrap();
        listener
    }
}
