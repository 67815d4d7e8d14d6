//! Single flight: what many ask for at once is done once, and all get its outcome.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::watch;
use tokio_util::task::TaskTracker;

/// Flights under way, by what they are for. A flight goes on although those who wait for it leave.
pub(crate) struct Flights<K, T> {
    under_way: Arc<Mutex<HashMap<K, watch::Receiver<Option<T>>>>>,
    max: usize,
    tasks: TaskTracker,
}

/// Why there is no outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoFlight {
    TooMany,
    /// It panicked, or the runtime stops.
    Lost,
}

impl<K, T> Flights<K, T>
where
    K: Hash + Eq + Clone + Send + 'static,
    T: Clone + Send + Sync + 'static,
{
    pub fn new(max: usize, tasks: TaskTracker) -> Self {
        Self { under_way: Arc::default(), max, tasks }
    }

    /// Joins the flight for `key`, or begins it.
    pub async fn join<F>(&self, key: &K, begin: impl FnOnce() -> F) -> Result<T, NoFlight>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut outcome = self.board(key, begin)?;
        let outcome = outcome.wait_for(Option::is_some).await.map_err(|_| NoFlight::Lost)?;
        outcome.clone().ok_or(NoFlight::Lost)
    }

    fn board<F>(&self, key: &K, begin: impl FnOnce() -> F) -> Result<watch::Receiver<Option<T>>, NoFlight>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut under_way = lock(&self.under_way);
        if let Some(flight) = under_way.get(key) {
            return Ok(flight.clone());
        }
        if under_way.len() >= self.max {
            return Err(NoFlight::TooMany);
        }
        let (sender, receiver) = watch::channel(None);
        under_way.insert(key.clone(), receiver.clone());
        let landing = Landing { under_way: Arc::clone(&self.under_way), key: key.clone() };
        let flight = begin();
        self.tasks.spawn(async move {
            let outcome = flight.await;
            drop(landing);
            let _ = sender.send(Some(outcome));
        });
        Ok(receiver)
    }
}

/// Clears the way for the next flight, however this one ends.
struct Landing<K: Hash + Eq, T> {
    under_way: Arc<Mutex<HashMap<K, watch::Receiver<Option<T>>>>>,
    key: K,
}

impl<K: Hash + Eq, T> Drop for Landing<K, T> {
    fn drop(&mut self) {
        lock(&self.under_way).remove(&self.key);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
