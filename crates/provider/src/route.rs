//! Where calls go: the table that providers write and the call path reads.

mod budget;

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};

use model::scale::{LoadTarget, initial_replicas};
use model::{CallLimits, FunctionId, FunctionSpec};
use tokio::sync::watch;

use crate::Endpoint;

pub use budget::{Budget, Place};

/// Enough that two busy functions rarely share a lock; a read holds it for one hash look-up.
const SHARDS: usize = 64;

/// One function as the call path sees it.
#[derive(Debug, Clone)]
pub struct Route {
    pub id: FunctionId,
    /// Replicas wished for; zero asks for an activation.
    pub desired: u32,
    /// What an activation scales to.
    pub activate_to: u32,
    /// Replicas that take calls now, where one endpoint may stand for several.
    pub ready: u32,
    /// Where calls go now.
    pub endpoints: Arc<[Arc<Endpoint>]>,
    /// What the labels say about the load of a replica.
    pub load_target: LoadTarget,
    pub annotations: Arc<BTreeMap<String, String>>,
    /// What the annotations say about the calls.
    pub limits: CallLimits,
    /// What the calls have used of it; the table keeps it from one state of the route to the next.
    pub budget: Arc<Budget>,
}

impl Route {
    /// The route of a function that these endpoints serve. A limit that cannot be read is none: whoever lets functions
    /// in has refused it already.
    pub fn new(spec: &FunctionSpec, desired: u32, endpoints: impl Into<Arc<[Arc<Endpoint>]>>) -> Self {
        let endpoints = endpoints.into();
        Self {
            id: spec.id.clone(),
            desired,
            activate_to: initial_replicas(&spec.labels),
            ready: u32::try_from(endpoints.len()).unwrap_or(u32::MAX),
            endpoints,
            load_target: LoadTarget::parse(&spec.labels),
            limits: CallLimits::parse(&spec.annotations).unwrap_or_default(),
            annotations: Arc::new(spec.annotations.clone()),
            budget: Arc::default(),
        }
    }
}

/// Function to [`Route`], with a way to wait for the next state of one. No lock is global, and none is held over an
/// await.
#[derive(Debug)]
pub struct RouteTable {
    hasher: RandomState,
    shards: Box<[RwLock<Shard>]>,
}

type Shard = HashMap<FunctionId, watch::Sender<Arc<Route>>>;

impl RouteTable {
    pub fn new() -> Self {
        let shards = (0..SHARDS).map(|_| RwLock::default()).collect();
        Self { hasher: RandomState::new(), shards }
    }

    pub fn get(&self, id: &FunctionId) -> Option<Arc<Route>> {
        self.read(id).get(id).map(|slot| Arc::clone(&slot.borrow()))
    }

    /// The route and every later state of it; closed when the function is removed.
    pub fn subscribe(&self, id: &FunctionId) -> Option<watch::Receiver<Arc<Route>>> {
        self.read(id).get(id).map(watch::Sender::subscribe)
    }

    pub fn publish(&self, mut route: Route) {
        let mut shard = self.write(&route.id);
        match shard.get(&route.id) {
            Some(slot) => {
                route.budget = Arc::clone(&slot.borrow().budget);
                drop(slot.send_replace(Arc::new(route)));
            }
            None => drop(shard.insert(route.id.clone(), watch::Sender::new(Arc::new(route)))),
        }
    }

    pub fn retract(&self, id: &FunctionId) {
        self.write(id).remove(id);
    }

    /// Every route, in no order; for metrics and sweeps, not for calls.
    pub fn snapshot(&self) -> Vec<Arc<Route>> {
        let routes = |shard: &RwLock<Shard>| -> Vec<Arc<Route>> {
            let shard = shard.read().unwrap_or_else(|poisoned| poisoned.into_inner());
            shard.values().map(|slot| Arc::clone(&slot.borrow())).collect()
        };
        self.shards.iter().flat_map(routes).collect()
    }

    fn shard(&self, id: &FunctionId) -> &RwLock<Shard> {
        &self.shards[self.hasher.hash_one(id) as usize % SHARDS]
    }

    fn read(&self, id: &FunctionId) -> RwLockReadGuard<'_, Shard> {
        self.shard(id).read().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn write(&self, id: &FunctionId) -> RwLockWriteGuard<'_, Shard> {
        self.shard(id).write().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Default for RouteTable {
    fn default() -> Self {
        Self::new()
    }
}
