//! Admit: a bound on the calls under way at once, and what the annotations of a function allow.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use provider::{Call, InvokeError, Place, Route};

pub(super) struct Admission {
    under_way: AtomicUsize,
    max: usize,
    body_max: Option<u64>,
}

/// One call's place, and its place among its function's calls where these are bounded; free again when dropped.
pub(crate) struct Permit {
    admission: Arc<Admission>,
    _place: Option<Place>,
}

impl Admission {
    pub fn new(max: usize, body_max: Option<u64>) -> Arc<Self> {
        Arc::new(Self { under_way: AtomicUsize::new(0), max, body_max })
    }

    pub fn enter(self: &Arc<Self>) -> Result<Permit, InvokeError> {
        let before = self.under_way.fetch_add(1, Ordering::Relaxed);
        // Made first: dropping it takes the place back when there was none.
        let permit = Permit { admission: Arc::clone(self), _place: None };
        if before < self.max { Ok(permit) } else { Err(InvokeError::Overloaded) }
    }
}

impl Permit {
    /// Holds the call to its function's limits. What is refused takes no token, and wakes no function.
    pub fn admit(&mut self, route: &Route, call: &mut Call) -> Result<(), InvokeError> {
        let limits = &route.limits;
        if let Some(max) = limits.max_body.or(self.admission.body_max) {
            call.request.body_mut().limit(max).map_err(|refused| InvokeError::Request(refused.into()))?;
        }
        if let Some(max) = limits.max_in_flight {
            let place = route.budget.enter(max).ok_or_else(|| InvokeError::Busy(route.id.clone()))?;
            self._place = Some(place);
        }
        if let Some(rate) = limits.rate {
            let refused = |retry_after| InvokeError::TooOften { function: route.id.clone(), retry_after };
            route.budget.spend(rate, Instant::now()).map_err(refused)?;
        }
        Ok(())
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.admission.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_the_bound_and_places_come_back() {
        let admission = Admission::new(2, None);
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
