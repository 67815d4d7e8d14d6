//! Counting calls in flight, with a bound.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many holders of a [`Slot`] there are; cheap to clone.
#[derive(Clone, Default)]
pub struct Gauge(Arc<Inner>);

#[derive(Default)]
struct Inner {
    count: AtomicUsize,
    max: usize,
}

/// Gives its place back when the last clone is dropped.
#[derive(Clone)]
pub struct Slot {
    _place: Arc<Place>,
}

struct Place(Arc<Inner>);

impl Gauge {
    /// `max` 0 is no bound.
    pub fn new(max: usize) -> Self {
        Self(Arc::new(Inner { max, ..Inner::default() }))
    }

    pub fn max(&self) -> usize {
        self.0.max
    }

    pub fn count(&self) -> usize {
        self.0.count.load(Ordering::Relaxed)
    }

    pub fn is_full(&self) -> bool {
        self.0.max != 0 && self.count() >= self.0.max
    }

    /// Single-threaded by design: between the look and the step nothing else runs.
    pub fn enter(&self) -> Option<Slot> {
        if self.is_full() {
            return None;
        }
        self.0.count.fetch_add(1, Ordering::Relaxed);
        Some(Slot { _place: Arc::new(Place(self.0.clone())) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::Relaxed);
    }
}
