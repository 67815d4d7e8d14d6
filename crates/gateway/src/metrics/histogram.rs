//! Durations in the buckets of the contract, and one such histogram for each status code.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use super::{read, write};

/// Upper bounds, microseconds, and as the page shows them.
const BUCKETS: [(u64, &str); 11] = [
    (5_000, "0.005"),
    (10_000, "0.01"),
    (25_000, "0.025"),
    (50_000, "0.05"),
    (100_000, "0.1"),
    (250_000, "0.25"),
    (500_000, "0.5"),
    (1_000_000, "1"),
    (2_500_000, "2.5"),
    (5_000_000, "5"),
    (10_000_000, "10"),
];
/// Status codes told apart: a function may answer with any, and each is 15 lines on the page.
const CODES_MAX: usize = 40;
/// The code that all others are counted under.
const OTHER: u16 = 0;

#[derive(Default)]
pub(super) struct Histogram {
    /// The last one holds what exceeds every bound.
    buckets: [AtomicU64; BUCKETS.len() + 1],
    sum_us: AtomicU64,
}

/// In the order the codes first came; few, so a scan is the quickest way to one.
#[derive(Default)]
pub(super) struct Codes(RwLock<Vec<(u16, Arc<Histogram>)>>);

impl Histogram {
    pub fn add(&self, took: Duration) {
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BUCKETS.partition_point(|(bound, _)| *bound < took_us);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(took_us, Ordering::Relaxed);
    }

    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).sum()
    }

    pub fn sum_seconds(&self) -> f64 {
        self.sum_us.load(Ordering::Relaxed) as f64 / 1e6
    }

    /// Each upper bound with how many durations it holds, those of the bounds below among them.
    pub fn cumulated(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let bounds = BUCKETS.iter().map(|(_, shown)| *shown).chain(["+Inf"]);
        bounds.zip(&self.buckets).scan(0, |count, (bound, bucket)| {
            *count += bucket.load(Ordering::Relaxed);
            Some((bound, *count))
        })
    }
}

impl Codes {
    pub fn add(&self, code: u16, took: Duration) {
        let find = |codes: &[(u16, Arc<Histogram>)], wanted| {
            codes.iter().find(|(known, _)| *known == wanted).map(|(_, histogram)| histogram.add(took))
        };
        if find(&read(&self.0), code).is_some() {
            return;
        }
        let mut codes = write(&self.0);
        let code = if codes.len() < CODES_MAX { code } else { OTHER };
        if find(&codes, code).is_none() {
            let histogram = Histogram::default();
            histogram.add(took);
            codes.push((code, Arc::new(histogram)));
        }
    }

    pub fn count(&self) -> u64 {
        read(&self.0).iter().map(|(_, histogram)| histogram.count()).sum()
    }

    pub fn sorted(&self) -> Vec<(u16, Arc<Histogram>)> {
        let mut codes = read(&self.0).clone();
        codes.sort_by_key(|(code, _)| *code);
        codes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_falls_into_the_first_bucket_that_holds_it() {
        let check = |took_us: u64, bound: &str| {
            let histogram = Histogram::default();
            histogram.add(Duration::from_micros(took_us));
            let first = histogram.cumulated().find(|(_, count)| *count == 1);
            assert_eq!(first.map(|(bound, _)| bound), Some(bound), "{took_us} µs");
        };
        check(0, "0.005");
        check(5_000, "0.005");
        check(5_001, "0.01");
        check(10_000_000, "10");
        check(10_000_001, "+Inf");
        check(u64::MAX, "+Inf");
    }

    #[test]
    fn codes_are_bounded() {
        let codes = Codes::default();
        for code in 100..1000 {
            codes.add(code, Duration::ZERO);
        }
        assert!(codes.sorted().len() <= CODES_MAX + 1, "{}", codes.sorted().len());
        assert_eq!(codes.count(), 900);
    }
}
