//! Admit: a bound on the calls under way at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use provider::InvokeError;

pub(super) struct Admission {
    under_way: AtomicUsize,
    max: usize,
}

/// One call's place; free again when dropped.
pub(crate) struct Permit(Arc<Admission>);

impl Admission {
    pub fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { under_way: AtomicUsize::new(0), max })
    }

    pub fn enter(self: &Arc<Self>) -> Result<Permit, InvokeError> {
        let before = self.under_way.fetch_add(1, Ordering::Relaxed);
        // Made first: dropping it takes the place back when there was none.
        let permit = Permit(Arc::clone(self));
        if before < self.max { Ok(permit) } else { Err(InvokeError::Overloaded) }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_the_bound_and_places_come_back() {
        let admission = Admission::new(2);
        let first = admission.enter().unwrap();
        let _second = admission.enter().unwrap();
        for _ in 0..3 {
            assert!(matches!(admission.enter(), Err(InvokeError::Overloaded)));
        }
        drop(first);
        let _third = admission.enter().unwrap();
        assert!(matches!(admission.enter(), Err(InvokeError::Overloaded)));
    }
}
