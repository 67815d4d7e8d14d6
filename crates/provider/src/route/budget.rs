//! What the calls of one function have used of its limits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use model::limits::Rate;

/// Goes on when its route is published anew, and ends with the function. A function without limits never touches it.
#[derive(Debug)]
pub struct Budget {
    in_flight: AtomicU32,
    epoch: Instant,
    /// When the bucket will be full again, nanoseconds since `epoch`.
    full_at: AtomicU64,
}

/// One call's place among those that a function may answer at once; free again when dropped.
#[derive(Debug)]
pub struct Place(Arc<Budget>);

impl Budget {
    /// None when `max` calls are under way.
    pub fn enter(self: &Arc<Self>, max: u32) -> Option<Place> {
        let before = self.in_flight.fetch_add(1, Ordering::Relaxed);
        // Made first: dropping it takes the place back when there was none.
        let place = Place(Arc::clone(self));
        (before < max).then_some(place)
    }

    /// Takes a token out of the bucket, or tells how long it takes until there is one.
    pub fn spend(&self, rate: Rate, now: Instant) -> Result<(), Duration> {
        let interval = (1e9 / rate.per_second).max(1.0) as u64;
        let room = interval.saturating_mul(u64::from(rate.burst.max(1)));
        let now = u64::try_from(now.saturating_duration_since(self.epoch).as_nanos()).unwrap_or(u64::MAX);
        let mut refused = 0;
        let spend = |full_at: u64| {
            // A rate that was lower once must not keep the bucket empty for longer than this one does; so what is
            // kept is cut even when nothing is taken.
            let full_at = full_at.clamp(now, now.saturating_add(room));
            let spent = full_at.saturating_add(interval);
            refused = spent.saturating_sub(now).saturating_sub(room);
            Some(if refused == 0 { spent } else { full_at })
        };
        // Never an error: there is always a next value.
        let _ = self.full_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend);
        if refused == 0 { Ok(()) } else { Err(Duration::from_nanos(refused)) }
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self { in_flight: AtomicU32::new(0), epoch: Instant::now(), full_at: AtomicU64::new(0) }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let budget = Budget::default();
        let rate = Rate { per_second: 10.0, burst: 3 };
        let at = |ms: u64| budget.epoch + Duration::from_millis(ms);
        for _ in 0..3 {
            assert_eq!(budget.spend(rate, at(0)), Ok(()));
        }
        assert_eq!(budget.spend(rate, at(0)), Err(Duration::from_millis(100)));
        assert_eq!(
            budget.spend(rate, at(60)),
            Err(Duration::from_millis(40)),
            "a refused call costs nothing"
        );
        assert_eq!(budget.spend(rate, at(100)), Ok(()));
        assert_eq!(budget.spend(rate, at(100)), Err(Duration::from_millis(100)));
        // It never holds more than its burst.
        for _ in 0..3 {
            assert_eq!(budget.spend(rate, at(60_000)), Ok(()));
        }
        assert!(budget.spend(rate, at(60_000)).is_err());
    }

    #[test]
    fn a_new_rate_holds_at_once() {
        let budget = Budget::default();
        let slow = Rate { per_second: 0.001, burst: 10 };
        for _ in 0..10 {
            assert_eq!(budget.spend(slow, budget.epoch), Ok(()));
        }
        assert_eq!(budget.spend(slow, budget.epoch), Err(Duration::from_secs(1000)));
        let fast = Rate { per_second: 100.0, burst: 1 };
        assert_eq!(budget.spend(fast, budget.epoch), Err(Duration::from_millis(10)));
        assert_eq!(budget.spend(fast, budget.epoch + Duration::from_millis(10)), Ok(()));
    }

    #[test]
    fn places_come_back() {
        let budget: Arc<Budget> = Arc::default();
        let first = budget.enter(2).unwrap();
        let _second = budget.enter(2).unwrap();
        assert!(budget.enter(2).is_none() && budget.enter(2).is_none());
        drop(first);
        assert!(budget.enter(2).is_some());
    }
}
