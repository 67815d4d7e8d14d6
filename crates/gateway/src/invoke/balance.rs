//! Balance: the less busy of two replicas taken at random.

use std::sync::Arc;

use provider::{Endpoint, InvokeError};

/// Replicas that one call is offered to at most.
const TRIES_MAX: usize = 4;

/// The replicas that could not be connected to, and why the last one could not.
#[derive(Default)]
pub(super) struct Tried {
    endpoints: Vec<Arc<Endpoint>>,
    error: Option<InvokeError>,
}

impl Tried {
    pub fn may_go_on(&self) -> bool {
        self.endpoints.len() + 1 < TRIES_MAX
    }

    pub fn add(&mut self, endpoint: &Arc<Endpoint>, error: InvokeError) {
        self.endpoints.push(Arc::clone(endpoint));
        self.error = Some(error);
    }

    pub fn into_error(self) -> InvokeError {
        self.error.unwrap_or_else(|| InvokeError::Upstream("no replica was tried".into()))
    }

    fn has(&self, endpoint: &Arc<Endpoint>) -> bool {
        self.endpoints.iter().any(|tried| Arc::ptr_eq(tried, endpoint))
    }
}

/// None when each of them was tried.
pub(super) fn pick<'a>(endpoints: &'a [Arc<Endpoint>], tried: &Tried) -> Option<&'a Arc<Endpoint>> {
    if !tried.endpoints.is_empty() {
        let left = endpoints.iter().filter(|endpoint| !tried.has(endpoint));
        return left.min_by_key(|endpoint| endpoint.in_flight());
    }
    match endpoints {
        [] => None,
        [only] => Some(only),
        endpoints => {
            let first = fastrand::usize(..endpoints.len());
            let second = (first + 1 + fastrand::usize(..endpoints.len() - 1)) % endpoints.len();
            let (first, second) = (&endpoints[first], &endpoints[second]);
            Some(if second.in_flight() < first.in_flight() { second } else { first })
        }
    }
}

#[cfg(test)]
mod tests {
    use provider::Echo;

    use super::*;

    fn endpoints(count: usize) -> Vec<Arc<Endpoint>> {
        (0..count).map(|n| Arc::new(Endpoint::new(n.to_string(), Arc::new(Echo)))).collect()
    }

    #[test]
    fn of_two_the_idle_one_is_picked() {
        let endpoints = endpoints(2);
        let _busy = endpoints[1].begin();
        for _ in 0..100 {
            assert_eq!(pick(&endpoints, &Tried::default()).unwrap().replica(), "0");
        }
    }

    #[test]
    fn every_replica_gets_its_share() {
        let endpoints = endpoints(5);
        let mut shares = [0; 5];
        for _ in 0..5000 {
            let picked = pick(&endpoints, &Tried::default()).unwrap();
            shares[picked.replica().parse::<usize>().unwrap()] += 1;
        }
        assert!(shares.iter().all(|share| (700..1300).contains(share)), "{shares:?}");
    }

    #[test]
    fn none_is_tried_twice() {
        let endpoints = endpoints(3);
        let mut tried = Tried::default();
        let mut order = Vec::new();
        while let Some(endpoint) = pick(&endpoints, &tried) {
            order.push(endpoint.replica().to_owned());
            tried.add(endpoint, InvokeError::Overloaded);
        }
        order.sort();
        assert_eq!(order, ["0", "1", "2"]);
        assert!(pick(&[], &Tried::default()).is_none());
    }
}
