//! What is counted of one function, and where all of it is kept.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};

use model::FunctionId;

use super::histogram::{Codes, Histogram};
use super::{read, write};

/// So that two busy functions rarely share a lock.
const SHARDS: usize = 64;

pub(super) struct Series {
    pub id: FunctionId,
    started: AtomicU64,
    pub completed: Codes,
    /// How long calls waited for a first replica.
    pub cold: Histogram,
}

pub(super) struct SeriesTable {
    hasher: RandomState,
    shards: Box<[RwLock<Shard>]>,
}

type Shard = HashMap<FunctionId, Arc<Series>>;

impl Series {
    fn new(id: FunctionId) -> Self {
        Self { id, started: AtomicU64::new(0), completed: Codes::default(), cold: Histogram::default() }
    }

    pub fn start(&self) {
        self.started.fetch_add(1, Ordering::Relaxed);
    }

    pub fn started(&self) -> u64 {
        self.started.load(Ordering::Relaxed)
    }

    /// Begun and not completed. Nothing more is counted for it on the way of a call; read in this order it is never
    /// below what it was at some moment.
    pub fn in_flight(&self) -> u64 {
        let completed = self.completed.count();
        self.started().saturating_sub(completed)
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
        let series = shard.entry(id.clone()).or_insert_with(|| Arc::new(Series::new(id.clone())));
        Arc::clone(series)
    }

    pub fn retain(&self, exists: impl Fn(&FunctionId) -> bool) {
        for shard in &self.shards {
            write(shard).retain(|id, _| exists(id));
        }
    }

    pub fn sorted(&self) -> Vec<Arc<Series>> {
        let all = |shard| read::<Shard>(shard).values().cloned().collect::<Vec<_>>();
        let mut series: Vec<_> = self.shards.iter().flat_map(all).collect();
        series.sort_by(|a, b| a.id.cmp(&b.id));
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

#[cfg(test)]
mod tests {
    use super::*;

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
