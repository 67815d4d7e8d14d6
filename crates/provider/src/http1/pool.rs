//! The idle connections of one client: the last one used is the first one used again, the oldest ones time out.
//! They are kept by [`seat`], so that a connection is used on the runtime that it was opened on, and no two runtimes
//! share a lock.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

use super::connection::Connection;
use super::seat;

/// What each seat may keep at least, where the bound allows it.
const SEAT_MIN: usize = 16;

#[derive(Debug)]
pub(super) struct Pool {
    /// As many as there are seats when the first connection comes to rest.
    seats: OnceLock<Box<[Mutex<Idle>]>>,
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
        Self { seats: OnceLock::new(), max, timeout }
    }

    /// An idle connection of this thread's seat that is still good.
    pub(super) fn take(&self) -> Option<Box<Connection>> {
        loop {
            let (since, connection) = self.idle(seat::current()).connections.pop()?;
            let idle = since.elapsed();
            if idle < self.timeout && connection.is_quiet(idle) {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection, or closes it when enough are kept.
    pub(super) fn put(self: &Arc<Self>, connection: Box<Connection>) {
        let seat = connection.seat;
        let mut idle = self.idle(seat);
        if idle.connections.len() >= self.seat_max() {
            drop(idle);
            return drop(connection);
        }
        idle.connections.push((Instant::now(), connection));
        // A sweeper may also have gone with its runtime.
        if idle.sweeper.as_ref().is_none_or(AbortHandle::is_finished)
            && let Ok(runtime) = Handle::try_current()
        {
            let sweep = sweep(Arc::downgrade(self), seat, self.timeout);
            idle.sweeper = Some(runtime.spawn(sweep).abort_handle());
        }
    }

    pub(super) fn len(&self) -> usize {
        self.all().map(|idle| lock(idle).connections.len()).sum()
    }

    pub(super) fn clear(&self) {
        for idle in self.all() {
            let closed = std::mem::take(&mut lock(idle).connections);
            // Closing is a system call each, so it happens with the lock free.
            drop(closed);
        }
    }

    /// Closes what has been idle too long and tells when the next one will have been.
    fn close_expired(&self, seat: usize) -> Option<Instant> {
        let mut idle = self.idle(seat);
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

    /// The bound is shared out among the seats; where there are many, it grows with them.
    fn seat_max(&self) -> usize {
        (self.max / self.seats().len()).max(self.max.min(SEAT_MIN))
    }

    fn idle(&self, seat: usize) -> MutexGuard<'_, Idle> {
        let seats = self.seats();
        lock(&seats[seat % seats.len()])
    }

    fn seats(&self) -> &[Mutex<Idle>] {
        self.seats.get_or_init(|| (0..seat::count()).map(|_| Mutex::default()).collect())
    }

    fn all(&self) -> impl Iterator<Item = &Mutex<Idle>> {
        self.seats.get().into_iter().flat_map(|seats| seats.iter())
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        for idle in self.all() {
            if let Some(sweeper) = &lock(idle).sweeper {
                sweeper.abort();
            }
        }
    }
}

/// Runs as long as connections are idle, so that none outlives the timeout when no call comes any more.
async fn sweep(pool: Weak<Pool>, seat: usize, timeout: Duration) {
    let mut next = Instant::now() + timeout;
    loop {
        sleep_until(next).await;
        let Some(pool) = pool.upgrade() else { return };
        match pool.close_expired(seat) {
            Some(later) => next = later,
            None => return,
        }
    }
}

fn lock(idle: &Mutex<Idle>) -> MutexGuard<'_, Idle> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}
