//! What is counted of one function, and where all of it is kept.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use model::FunctionId;

/// Upper bounds of the histogram, microseconds.
pub(super) const BUCKETS_US: [u64; 11] =
    [5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000];
/// Status codes told apart per function: it may answer with any, and each is 15 lines on the page.
const CODES_MAX: usize = 40;
/// The code that all others are counted under.
const OTHER: u16 = 0;
/// So that two busy functions rarely share a lock.
const SHARDS: usize = 64;

#[derive(Default)]
pub(super) struct Series {
    started: AtomicU64,
    /// In the order they first came; few, so a scan is the quickest way to one.
    codes: RwLock<Vec<(u16, Arc<CodeSeries>)>>,
}

#[derive(Default)]
pub(super) struct CodeSeries {
    /// The last one holds what exceeds every bound.
    pub buckets: [AtomicU64; BUCKETS_US.len() + 1],
    pub sum_us: AtomicU64,
}

pub(super) struct SeriesTable {
    hasher: RandomState,
    shards: Box<[RwLock<Shard>]>,
}

type Shard = HashMap<FunctionId, Arc<Series>>;

impl Series {
    pub fn start(&self) {
        self.started.fetch_add(1, Ordering::Relaxed);
    }

    pub fn started(&self) -> u64 {
        self.started.load(Ordering::Relaxed)
    }

    pub fn complete(&self, code: u16, took: Duration) {
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BUCKETS_US.partition_point(|bound| *bound < took_us);
        self.with_code(code, |series| {
            series.buckets[bucket].fetch_add(1, Ordering::Relaxed);
            series.sum_us.fetch_add(took_us, Ordering::Relaxed);
        });
    }

    pub fn completed(&self) -> u64 {
        read(&self.codes).iter().map(|(_, series)| series.count()).sum()
    }

    pub fn codes(&self) -> Vec<(u16, Arc<CodeSeries>)> {
        let mut codes = read(&self.codes).clone();
        codes.sort_by_key(|(code, _)| *code);
        codes
    }

    fn with_code(&self, code: u16, count: impl Fn(&CodeSeries)) {
        let find = |codes: &[(u16, Arc<CodeSeries>)], wanted| {
            codes.iter().find(|(known, _)| *known == wanted).map(|(_, series)| count(series))
        };
        if find(&read(&self.codes), code).is_some() {
            return;
        }
        let mut codes = write(&self.codes);
        let code = if codes.len() < CODES_MAX { code } else { OTHER };
        if find(&codes, code).is_none() {
            let series = Arc::new(CodeSeries::default());
            count(&series);
            codes.push((code, series));
        }
    }
}

impl CodeSeries {
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).sum()
    }
}

impl SeriesTable {
    pub fn get(&self, id: &FunctionId) -> Option<Arc<Series>> {
        read(self.shard(id)).get(id).cloned()
    }

    /// `exists` tells which of the functions in the way of a new one are still there.
    pub fn get_or_add(&self, id: &FunctionId, exists: impl Fn(&FunctionId) -> bool) -> Arc<Series> {
        if let Some(series) = self.get(id) {
            return series;
        }
        let mut shard = write(self.shard(id));
        if shard.len() == shard.capacity() {
            // Removed functions go when room is short, so that a table that nobody scrapes does not grow with them.
            shard.retain(|known, _| exists(known));
        }
        Arc::clone(shard.entry(id.clone()).or_default())
    }

    pub fn retain(&self, exists: impl Fn(&FunctionId) -> bool) {
        for shard in &self.shards {
            write(shard).retain(|id, _| exists(id));
        }
    }

    pub fn sorted(&self) -> Vec<(FunctionId, Arc<Series>)> {
        let all = |shard| {
            read::<Shard>(shard).iter().map(|(id, s)| (id.clone(), Arc::clone(s))).collect::<Vec<_>>()
        };
        let mut series: Vec<_> = self.shards.iter().flat_map(all).collect();
        series.sort_by(|a, b| a.0.cmp(&b.0));
        series
    }

    fn shard(&self, id: &FunctionId) -> &RwLock<Shard> {
        &self.shards[self.hasher.hash_one(id) as usize % SHARDS]
    }
}

impl Default for SeriesTable {
    fn default() -> Self {
        Self { hasher: RandomState::new(), shards: (0..SHARDS).map(|_| RwLock::default()).collect() }
    }
}

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(|poisoned| poisoned.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_falls_into_the_first_bucket_that_holds_it() {
        let check = |took_us: u64, bucket: usize| {
            let series = Series::default();
            series.complete(200, Duration::from_micros(took_us));
            let counts: Vec<_> =
                series.codes()[0].1.buckets.iter().map(|b| b.load(Ordering::Relaxed)).collect();
            assert_eq!(counts.iter().position(|count| *count == 1), Some(bucket), "{took_us} µs");
        };
        check(0, 0);
        check(5_000, 0);
        check(5_001, 1);
        check(10_000_000, 10);
        check(10_000_001, 11);
        check(u64::MAX, 11);
    }

    #[test]
    fn codes_are_bounded() {
        let series = Series::default();
        for code in 100..1000 {
            series.complete(code, Duration::ZERO);
        }
        assert!(series.codes().len() <= CODES_MAX + 1, "{}", series.codes().len());
        assert_eq!(series.completed(), 900);
    }

    #[test]
    fn the_table_does_not_grow_with_functions_that_are_gone() {
        let table = SeriesTable::default();
        for n in 0..100_000 {
            let id = FunctionId::parse(&format!("f{n}"), &model::Namespace::default()).unwrap();
            table.get_or_add(&id, |_| false);
        }
        assert!(table.sorted().len() < 2_000, "{}", table.sorted().len());
    }
}
