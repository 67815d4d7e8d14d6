//! What the platform counts, and the page that shows it.
//!
//! The page is written here and not by a library: the common one speaks OpenMetrics, which appends `_total` to every
//! counter, and the contract has a counter without it.
//!
//! On the way of a call are two additions and one look-up; everything else is worked out when the page is read.

mod histogram;
mod page;
mod process;
mod requests;
mod samples;
mod series;

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use model::{FunctionId, VersionInfo};
use provider::{Body, RouteTable};

use page::Page;
use requests::Requests;
use samples::Samples;
use series::{Series, SeriesTable};

pub(crate) use page::CONTENT_TYPE;
pub(crate) use requests::Request;

/// Counts the calls of every function that there is, and the requests beside them.
pub(crate) struct Metrics {
    routes: Arc<RouteTable>,
    table: SeriesTable,
    requests: Requests,
    connections: Arc<AtomicUsize>,
    more: Collectors,
    version: VersionInfo,
}

/// One call of a function: begun when made, complete when dropped.
pub(crate) struct Observation {
    series: Arc<Series>,
    begun: Instant,
    code: u16,
}

/// A client's connection, open until this is dropped.
pub(crate) struct Connection(Arc<AtomicUsize>);

/// For a request whose client left before there was an answer (the code that nginx gives it).
pub(crate) const CLIENT_LEFT: u16 = 499;

/// What another part of the platform counts, for the same page.
pub trait Collect: Send + Sync + 'static {
    /// Is asked for each page; must not wait for anything.
    fn collect(&self, page: &mut Collected<'_>);
}

/// Where a [`Collect`] writes.
pub struct Collected<'a>(&'a mut String);

/// Asked in their order, after the gateway's own.
#[derive(Clone, Default)]
pub struct Collectors(pub Vec<Arc<dyn Collect>>);

impl Metrics {
    pub fn new(routes: Arc<RouteTable>, version: VersionInfo, more: Collectors) -> Self {
        Self {
            routes,
            table: SeriesTable::default(),
            requests: Requests::default(),
            connections: Arc::default(),
            more,
            version,
        }
    }

    pub fn observe(&self, id: &FunctionId) -> Observation {
        let series = self.table.get_or_add(id, |known| self.routes.get(known).is_some());
        series.start();
        Observation { series, begun: Instant::now(), code: CLIENT_LEFT }
    }

    pub fn connection(&self) -> Connection {
        self.connections.fetch_add(1, Ordering::Relaxed);
        Connection(Arc::clone(&self.connections))
    }

    /// None for a request that is not counted this way: a call, a page.
    pub fn request(&self, method: &Method, path: &str) -> Option<Request<'_>> {
        self.requests.observe(method, path)
    }

    /// Completed calls since this process began.
    pub fn invocations(&self, id: &FunctionId) -> u64 {
        self.table.get(id).map_or(0, |series| series.completed.count())
    }

    /// The page as Prometheus reads it, without the functions that are gone.
    pub fn page(self: &Arc<Self>) -> Body {
        let mut routes = self.routes.snapshot();
        routes.sort_by(|a, b| a.id.cmp(&b.id));
        self.table.retain(|id| self.routes.get(id).is_some());
        Page::new(Arc::clone(self), routes, self.table.sorted()).into_body()
    }
}

impl Observation {
    pub fn answered(&mut self, status: StatusCode) {
        self.code = status.as_u16();
    }

    /// The call found no replica and waited for one.
    pub fn cold(&self, waited: Duration) {
        self.series.cold.add(waited);
    }
}

impl Drop for Observation {
    fn drop(&mut self) {
        self.series.completed.add(self.code, self.begun.elapsed());
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Collected<'_> {
    pub fn counter(&mut self, name: &'static str, help: &str, value: u64) {
        Samples::begin(self.0, name, "counter", help).integer(format_args!(""), value);
    }

    pub fn gauge(&mut self, name: &'static str, help: &str, value: u64) {
        Samples::begin(self.0, name, "gauge", help).integer(format_args!(""), value);
    }
}

impl fmt::Debug for Collectors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} collectors", self.0.len())
    }
}

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(|poisoned| poisoned.into_inner())
}
