//! What replicas use now: memory as it is, CPU as a rate since the last look.
//!
//! A look that is followed by another within a minute needs no wait: the rate is that between the two. The first one
//! looks twice, a tenth of a second apart.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use model::{FunctionId, Usage};
use provider::ProviderError;

use crate::launcher::Cgroups;
use crate::{Inner, blocking};

/// A shorter one tells of the kernel's accounting rather than of the function.
const WINDOW_MIN: Duration = Duration::from_millis(100);
/// A longer one tells of the past rather than of now.
const WINDOW_MAX: Duration = Duration::from_secs(60);

/// The last looks at the replicas of one function.
#[derive(Debug, Default)]
pub struct Meter(Mutex<HashMap<String, Look>>);

#[derive(Debug, Clone, Copy)]
struct Look {
    at: Instant,
    cpu_us: u64,
    /// Between this look and the one before.
    cpu_milli: Option<f64>,
}

/// Of the replicas that take calls.
pub async fn usage(inner: &Inner, id: &FunctionId) -> Result<Usage, ProviderError> {
    inner.plan(id)?;
    let meter = inner.functions().get(id).map(|function| Arc::clone(&function.meter));
    let meter = meter.ok_or_else(|| ProviderError::function_not_found(id))?;
    let replicas: Arc<[String]> = match inner.routes.get(id) {
        Some(route) => route.endpoints.iter().map(|endpoint| endpoint.replica().to_owned()).collect(),
        None => Arc::default(),
    };
    let failed = |error| ProviderError::backend(format!("measure {id}"), error);
    let (cgroups, looked, names) =
        (Arc::clone(&inner.host.cgroups), Arc::clone(&meter), Arc::clone(&replicas));
    if let Some(ready) = blocking(move || looked.begin(&cgroups, &names)).await.map_err(failed)? {
        tokio::time::sleep_until(ready.into()).await;
    }
    let cgroups = Arc::clone(&inner.host.cgroups);
    blocking(move || meter.finish(&cgroups, &replicas)).await.map_err(failed)
}

impl Meter {
    /// Looks at those that were not looked at lately, and tells when they can be looked at again.
    fn begin(&self, cgroups: &Cgroups, replicas: &[String]) -> Option<Instant> {
        let mut looks = self.lock();
        looks.retain(|replica, look| replicas.contains(replica) && look.at.elapsed() < WINDOW_MAX);
        for replica in replicas.iter().filter(|replica| !looks.contains_key(*replica)).collect::<Vec<_>>() {
            if let Some(cpu_us) = cgroups.cpu_us(replica) {
                looks.insert(replica.clone(), Look { at: Instant::now(), cpu_us, cpu_milli: None });
            }
        }
        let unknown = looks.values().filter(|look| look.cpu_milli.is_none());
        unknown.map(|look| look.at + WINDOW_MIN).max().filter(|ready| *ready > Instant::now())
    }

    fn finish(&self, cgroups: &Cgroups, replicas: &[String]) -> Usage {
        let mut looks = self.lock();
        let mut sum = Usage { cpu_milli: 0.0, memory_bytes: 0.0 };
        for replica in replicas {
            // One that has ended meanwhile uses nothing.
            sum.memory_bytes += cgroups.memory_bytes(replica).unwrap_or_default() as f64;
            let Some(look) = looks.get_mut(replica) else { continue };
            if look.at.elapsed() >= WINDOW_MIN
                && let Some(cpu_us) = cgroups.cpu_us(replica)
            {
                *look = look.next(Instant::now(), cpu_us);
            }
            sum.cpu_milli += look.cpu_milli.unwrap_or_default();
        }
        sum
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Look>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Look {
    fn next(&self, at: Instant, cpu_us: u64) -> Look {
        let window_us = at.saturating_duration_since(self.at).as_micros().max(1);
        let cpu_milli = cpu_us.saturating_sub(self.cpu_us) as f64 * 1000.0 / window_us as f64;
        Look { at, cpu_us, cpu_milli: Some(cpu_milli) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_of_the_time_between_two_looks() {
        let begun = Instant::now();
        let first = Look { at: begun, cpu_us: 1_000_000, cpu_milli: None };
        let check = |after_ms: u64, used_us: u64, expected: f64| {
            let next = first.next(begun + Duration::from_millis(after_ms), first.cpu_us + used_us);
            assert_eq!(next.cpu_milli, Some(expected));
        };
        check(100, 25_000, 250.0);
        check(2000, 4_000_000, 2000.0);
        check(500, 0, 0.0);
        // A counter that went back, or no time at all, is no harm.
        assert_eq!(first.next(begun, 0).cpu_milli, Some(0.0));
    }
}
