//! The idle connections of one client: the last one used is the first one used again, the oldest ones time out.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

use super::connection::Connection;

#[derive(Debug)]
pub(super) struct Pool {
    idle: Mutex<Idle>,
    max: usize,
    timeout: Duration,
}

#[derive(Debug, Default)]
struct Idle {
    /// The longest idle first.
    connections: Vec<(Instant, Box<Connection>)>,
    sweeper: Option<AbortHandle>,
}

impl Pool {
    pub(super) fn new(max: usize, timeout: Duration) -> Self {
        Self { idle: Mutex::default(), max, timeout }
    }

    /// An idle connection that is still good.
    pub(super) fn take(&self) -> Option<Box<Connection>> {
        loop {
            let (since, connection) = self.lock().connections.pop()?;
            let idle = since.elapsed();
            if idle < self.timeout && connection.is_quiet(idle) {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection, or closes it when enough are kept.
    pub(super) fn put(self: &Arc<Self>, connection: Box<Connection>) {
        let mut idle = self.lock();
        if idle.connections.len() >= self.max {
            drop(idle);
            return drop(connection);
        }
        idle.connections.push((Instant::now(), connection));
        // A sweeper may also have gone with its runtime.
        if idle.sweeper.as_ref().is_none_or(AbortHandle::is_finished)
            && let Ok(runtime) = Handle::try_current()
        {
            idle.sweeper = Some(runtime.spawn(sweep(Arc::downgrade(self), self.timeout)).abort_handle());
        }
    }

    pub(super) fn len(&self) -> usize {
        self.lock().connections.len()
    }

    pub(super) fn clear(&self) {
        let closed = std::mem::take(&mut self.lock().connections);
        // Closing is a system call each, so it happens with the lock free.
        drop(closed);
    }

    /// Closes what has been idle too long and tells when the next one will have been.
    fn close_expired(&self) -> Option<Instant> {
        let mut idle = self.lock();
        let expired = idle.connections.partition_point(|(since, _)| since.elapsed() >= self.timeout);
        let closed: Vec<_> = idle.connections.drain(..expired).collect();
        let next = idle.connections.first().map(|(since, _)| *since + self.timeout);
        if next.is_none() {
            idle.sweeper = None;
        }
        drop(idle);
        drop(closed);
        next
    }

    fn lock(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if let Some(sweeper) = &self.lock().sweeper {
            sweeper.abort();
        }
    }
}

/// Runs as long as connections are idle, so that none outlives the timeout when no call comes any more.
async fn sweep(pool: Weak<Pool>, timeout: Duration) {
    let mut next = Instant::now() + timeout;
    loop {
        sleep_until(next).await;
        let Some(pool) = pool.upgrade() else { return };
        match pool.close_expired() {
            Some(later) => next = later,
            None => return,
        }
    }
}
