//! The threads that serve connections, each with a runtime of its own: nothing that a call needs crosses from one to
//! another, and what one core has in its cache stays there.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use futures_util::FutureExt;
use provider::http1::Seat;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::acceptor::Accepted;
use crate::alarm;

/// All of them. When it is dropped, they end, and cut off what they serve.
pub(super) struct Workers {
    workers: Vec<Worker>,
    /// Where the search for the least busy one begins, so that equals take turns.
    turn: AtomicUsize,
}

struct Worker {
    /// Without a bound of its own: what is in it holds a place among the connections.
    inbox: mpsc::UnboundedSender<Moved>,
    connections: TaskTracker,
    thread: JoinHandle<()>,
}

/// A connection between two runtimes.
struct Moved {
    stream: std::net::TcpStream,
    peer: SocketAddr,
    tls: bool,
    place: Option<OwnedSemaphorePermit>,
    token: TaskTrackerToken,
}

impl Workers {
    /// Begins `count` threads; each makes itself what serves a connection.
    ///
    /// # Errors
    ///
    /// When the system gives no thread or no descriptors for it.
    pub fn start<M, S, F>(count: usize, make: M) -> io::Result<Self>
    where
        M: Fn() -> S,
        S: Fn(TcpStream, SocketAddr, bool) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let workers =
            (0..count.max(1)).map(|number| Worker::start(number, make())).collect::<io::Result<_>>()?;
        Ok(Self { workers, turn: AtomicUsize::new(0) })
    }

    /// Gives the connection to the worker that has the fewest.
    pub fn hand_over(&self, accepted: Accepted) {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.workers.len();
        let (before, after) = self.workers.split_at(turn);
        let serving = after.iter().chain(before).filter(|worker| !worker.inbox.is_closed());
        let Some(worker) = serving.min_by_key(|worker| worker.connections.len()) else {
            tracing::error!("no worker is left, a connection is closed");
            return;
        };
        let Accepted { stream, peer, tls, place } = accepted;
        match stream.into_std() {
            Ok(stream) => {
                let moved = Moved { stream, peer, tls, place, token: worker.connections.token() };
                if worker.inbox.send(moved).is_err() {
                    tracing::error!("a worker has ended, and with it a connection");
                }
            }
            Err(error) => tracing::debug!(%error, "a connection is gone already"),
        }
    }

    /// Until no connection is left.
    pub async fn idle(&self) {
        for worker in &self.workers {
            worker.connections.close();
            worker.connections.wait().await;
        }
    }

    pub fn connections(&self) -> usize {
        self.workers.iter().map(|worker| worker.connections.len()).sum()
    }

    /// Ends the threads, and what is left with them.
    pub async fn end(self) {
        let threads: Vec<_> = self.workers.into_iter().map(|worker| worker.thread).collect();
        let ended =
            tokio::task::spawn_blocking(|| threads.into_iter().filter_map(|t| t.join().err()).count());
        if let Ok(panicked @ 1..) = ended.await {
            tracing::error!(panicked, "workers ended in a panic");
        }
    }
}

impl Worker {
    fn start<S, F>(number: usize, serve: S) -> io::Result<Self>
    where
        S: Fn(TcpStream, SocketAddr, bool) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (inbox, arriving) = mpsc::unbounded_channel();
        let thread = thread::Builder::new()
            .name(format!("worker-{number}"))
            .spawn(move || run(runtime, arriving, serve))?;
        Ok(Self { inbox, connections: TaskTracker::new(), thread })
    }
}

/// Serves what arrives until nothing can arrive any more.
fn run<S, F>(runtime: Runtime, mut arriving: mpsc::UnboundedReceiver<Moved>, serve: S)
where
    S: Fn(TcpStream, SocketAddr, bool) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let seat = Seat::take();
    runtime.block_on(async {
        tokio::spawn(alarm::ring());
        while let Some(Moved { stream, peer, tls, place, token }) = arriving.recv().await {
            match TcpStream::from_std(stream) {
                Ok(stream) => {
                    // Not an async block: it would keep room for the future twice, in every connection.
                    tokio::spawn(serve(stream, peer, tls).map(move |()| drop((place, token))));
                }
                Err(error) => tracing::warn!(%error, "failed to watch a connection"),
            }
        }
    });
    // Not waiting for threads that look a name up, say.
    runtime.shutdown_background();
    drop(seat);
}
