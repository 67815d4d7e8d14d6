//! The four series of the contract, and the page that shows them.
//!
//! The page is written here and not by a library: the common one speaks OpenMetrics, which appends `_total` to every
//! counter, and the contract has a counter without it.

mod series;
mod text;

use std::sync::Arc;
use std::time::Instant;

use http::StatusCode;
use model::FunctionId;
use provider::RouteTable;

use series::{Series, SeriesTable};

pub(crate) use text::CONTENT_TYPE;

/// Counts the calls of every function that there is.
pub(crate) struct Metrics {
    routes: Arc<RouteTable>,
    table: SeriesTable,
}

/// One call of a function: begun when made, complete when dropped.
pub(crate) struct Observation {
    series: Arc<Series>,
    begun: Instant,
    code: u16,
}

/// For a call whose caller left before there was an answer (the code that nginx gives it).
const CLIENT_LEFT: u16 = 499;

impl Metrics {
    pub fn new(routes: Arc<RouteTable>) -> Self {
        Self { routes, table: SeriesTable::default() }
    }

    pub fn observe(&self, id: &FunctionId) -> Observation {
        let series = self.table.get_or_add(id, |known| self.routes.get(known).is_some());
        series.start();
        Observation { series, begun: Instant::now(), code: CLIENT_LEFT }
    }

    /// Completed calls since this process began.
    pub fn invocations(&self, id: &FunctionId) -> u64 {
        self.table.get(id).map_or(0, |series| series.completed())
    }

    /// The page as Prometheus reads it.
    pub fn page(&self) -> String {
        let mut routes = self.routes.snapshot();
        routes.sort_by(|a, b| a.id.cmp(&b.id));
        self.table.retain(|id| self.routes.get(id).is_some());
        text::write(&routes, &self.table.sorted())
    }
}

impl Observation {
    pub fn answered(&mut self, status: StatusCode) {
        self.code = status.as_u16();
    }
}

impl Drop for Observation {
    fn drop(&mut self) {
        self.series.complete(self.code, self.begun.elapsed());
    }
}
