//! When to order: at once when there is nothing, at two thirds of a certificate's life, and less and less often while it fails.

use std::time::{Duration, SystemTime};

use crate::tls::Validity;

const HOUR: Duration = Duration::from_secs(3600);
/// Let's Encrypt takes five failures for a name in an hour.
const ATTEMPTS_MAX: usize = 5;
const BACKOFF_FIRST: Duration = Duration::from_secs(120);
const BACKOFF_MAX: Duration = Duration::from_secs(6 * 3600);

/// Of one name.
pub struct Schedule {
    due: SystemTime,
    failures: u32,
    /// Those of the last hour, oldest first; they outlive the process.
    attempts: Vec<SystemTime>,
}

impl Schedule {
    pub fn new(validity: Option<Validity>, attempts: Vec<SystemTime>) -> Self {
        Self { due: validity.map_or(SystemTime::UNIX_EPOCH, renewal), failures: 0, attempts }
    }

    /// None when it is time.
    pub fn wait(&self, now: SystemTime) -> Option<Duration> {
        let recent = || self.attempts.iter().filter(|at| is_recent(**at, now));
        let free = match recent().count() {
            count if count >= ATTEMPTS_MAX => recent().nth(count - ATTEMPTS_MAX).map(|oldest| *oldest + HOUR),
            _ => None,
        };
        let due = free.map_or(self.due, |free| free.max(self.due));
        due.duration_since(now).ok().filter(|wait| !wait.is_zero())
    }

    pub fn begin(&mut self, now: SystemTime) {
        self.attempts.retain(|at| is_recent(*at, now));
        self.attempts.push(now);
    }

    pub fn attempts(&self) -> &[SystemTime] {
        &self.attempts
    }

    pub fn succeeded(&mut self, validity: Validity) {
        self.failures = 0;
        self.due = renewal(validity);
    }

    pub fn failed(&mut self, now: SystemTime) {
        let backoff = BACKOFF_FIRST.saturating_mul(1 << self.failures.min(16)).min(BACKOFF_MAX);
        self.failures += 1;
        // Whoever failed together does not come back together.
        self.due = now + backoff.mul_f64(1.0 + fastrand::f64() / 4.0);
    }
}

/// An attempt of the future is one of a clock that was wrong.
fn is_recent(at: SystemTime, now: SystemTime) -> bool {
    now.duration_since(at).is_ok_and(|age| age < HOUR)
}

/// At two thirds of the life, or up to a twentieth of it earlier.
fn renewal(validity: Validity) -> SystemTime {
    let life = validity.to.duration_since(validity.from).unwrap_or_default();
    validity.from + life.mul_f64(2.0 / 3.0 - fastrand::f64() / 20.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    #[test]
    fn renewed_at_two_thirds() {
        let from = SystemTime::UNIX_EPOCH + 20_000 * DAY;
        let schedule = Schedule::new(Some(Validity { from, to: from + 90 * DAY }), Vec::new());
        let wait = schedule.wait(from).unwrap();
        assert!((55 * DAY..=60 * DAY).contains(&wait), "{wait:?}");
        assert_eq!(schedule.wait(from + 60 * DAY), None);
        assert_eq!(Schedule::new(None, Vec::new()).wait(from), None);
    }

    #[test]
    fn failures_come_less_and_less_often() {
        let begun = SystemTime::UNIX_EPOCH + 20_000 * DAY;
        let mut schedule = Schedule::new(None, Vec::new());
        let (mut now, mut attempts) = (begun, Vec::new());
        while now < begun + DAY {
            attempts.push(now);
            schedule.begin(now);
            schedule.failed(now);
            now += schedule.wait(now).unwrap();
            assert_eq!(schedule.wait(now), None);
        }
        assert!(attempts.iter().filter(|at| **at < begun + HOUR).count() <= ATTEMPTS_MAX);
        assert!((8..=12).contains(&attempts.len()), "{}", attempts.len());
        assert!(schedule.attempts().len() <= ATTEMPTS_MAX);
    }

    #[test]
    fn restarts_do_not_lift_the_bound() {
        let begun = SystemTime::UNIX_EPOCH + 20_000 * DAY;
        let mut attempts = Vec::new();
        for _ in 0..ATTEMPTS_MAX {
            let mut schedule = Schedule::new(None, attempts);
            assert_eq!(schedule.wait(begun), None);
            schedule.begin(begun);
            attempts = schedule.attempts().to_vec();
        }
        let schedule = Schedule::new(None, attempts);
        assert_eq!(schedule.wait(begun + HOUR / 2), Some(HOUR / 2));
        assert_eq!(schedule.wait(begun + HOUR), None);
        assert_eq!(schedule.wait(begun - DAY), None, "a clock that was wrong holds nothing up");
    }
}
