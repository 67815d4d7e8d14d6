//! Single flight: what many ask for at once is done once, and all get its outcome.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::watch;

use crate::tasks::Tasks;

/// Flights under way, by what they are for. One that nobody waits for any more is given up.
pub(crate) struct Flights<K, T> {
    under_way: Arc<Mutex<UnderWay<K, T>>>,
    max: usize,
    tasks: Tasks,
}

type UnderWay<K, T> = HashMap<K, watch::Sender<Option<T>>>;

/// Why there is no outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoFlight {
    TooMany,
    /// It panicked, or the runtime stops.
    Lost,
}

impl<K, T> Flights<K, T>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    T: Clone + Send + Sync + 'static,
{
    pub fn new(max: usize, tasks: Tasks) -> Self {
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
            return Ok(flight.subscribe());
        }
        if under_way.len() >= self.max {
            return Err(NoFlight::TooMany);
        }
        let (sender, receiver) = watch::channel(None);
        under_way.insert(key.clone(), sender.clone());
        let landing =
            Landing { under_way: Arc::clone(&self.under_way), key: key.clone(), sender: sender.clone() };
        let flight = begin();
        self.tasks.spawn(async move {
            tokio::select! {
                outcome = flight => {
                    drop(landing);
                    sender.send_replace(Some(outcome));
                }
                () = landing.deserted() => {}
            }
        });
        Ok(receiver)
    }
}

/// Clears the way for the next flight, however this one ends.
struct Landing<K: Hash + Eq, T> {
    under_way: Arc<Mutex<UnderWay<K, T>>>,
    key: K,
    sender: watch::Sender<Option<T>>,
}

impl<K: Hash + Eq, T> Landing<K, T> {
    /// Waits until nobody waits; nobody can join any more when it returns.
    async fn deserted(&self) {
        while !self.is_deserted() {
            self.sender.closed().await;
        }
    }

    /// Whoever joins does so under the same lock.
    fn is_deserted(&self) -> bool {
        let mut under_way = lock(&self.under_way);
        let is_deserted = self.sender.receiver_count() == 0;
        if is_deserted {
            under_way.remove(&self.key);
        }
        is_deserted
    }
}

impl<K: Hash + Eq, T> Drop for Landing<K, T> {
    fn drop(&mut self) {
        let mut under_way = lock(&self.under_way);
        // The next flight may be under way already.
        if under_way.get(&self.key).is_some_and(|sender| sender.same_channel(&self.sender)) {
            under_way.remove(&self.key);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_flight_that_nobody_waits_for_is_given_up() {
        let tasks = Tasks::new();
        let flights: Flights<&str, u32> = Flights::new(1, tasks.clone());
        let waiting = flights.join(&"key", std::future::pending::<u32>);
        assert!(tokio::time::timeout(std::time::Duration::from_millis(1), waiting).await.is_err());
        tasks.wait().await;
        assert_eq!(flights.join(&"key", || std::future::ready(7)).await, Ok(7), "the way is clear");
    }
}
