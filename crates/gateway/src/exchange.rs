//! One request and its answer, as the access log and a tracer are told of it; nothing here runs unless there is one.

mod facts;
mod marks;
mod watch;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{Method, Version};

use crate::access::AccessLog;
use crate::trace::{TraceId, Traced, Tracer};

pub(crate) use marks::{Marks, Stage};
pub(crate) use watch::answer;

/// Who is told of each request. With nobody to tell, a call costs no more than finding that out.
#[derive(Clone, Default)]
pub struct Observers {
    pub access_log: Option<AccessLog>,
    pub tracer: Option<Arc<dyn Tracer>>,
}

/// What clients wrote is cut where it is long.
#[derive(Debug)]
pub struct Exchange {
    pub began: SystemTime,
    /// From the head of the request to the end of the answer.
    pub took: Duration,
    pub method: Method,
    /// Without the query, which may hold secrets.
    pub path: String,
    pub version: Version,
    pub peer: SocketAddr,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// What was asked for as the host.
    pub host: Option<String>,
    pub user_agent: Option<String>,
    /// `name.namespace` where it is known, else the name as it stood in the path; none for what is no call.
    pub function: Option<String>,
    pub call_id: Option<String>,
    /// 499 when the client left before there was an answer.
    pub status: u16,
    /// What the request's head announced.
    pub request_bytes: Option<u64>,
    pub response_bytes: u64,
    /// The answer was sent to its end.
    pub complete: bool,
    /// The trace it belongs to, if its caller or this gateway says so.
    pub trace_id: Option<TraceId>,
    /// When a tracer is to record it.
    pub traced: Option<Traced>,
    /// In the order they began.
    pub legs: Vec<Leg>,
}

/// A part of the way of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leg {
    pub kind: LegKind,
    /// From the beginning of the exchange.
    pub began: Duration,
    pub ended: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LegKind {
    /// The wait for a first replica.
    Activation,
    /// To a replica that could not be connected to.
    Unreached { replica: String },
    /// To the replica that answered, or was to.
    Upstream { replica: String },
}

impl Observers {
    fn is_empty(&self) -> bool {
        self.access_log.is_none() && self.tracer.is_none()
    }
}

impl fmt::Debug for Observers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observers")
            .field("access_log", &self.access_log.is_some())
            .field("tracer", &self.tracer.is_some())
            .finish()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use http::Request;

    use super::{Exchange, facts};
    use crate::peer::{Peer, Scheme};
    use crate::trace::Parent;

    /// For the tests of those who are told.
    pub fn facts(request: &Request<()>, parent: &Parent) -> Exchange {
        facts::of(request, &Peer::new(([192, 0, 2, 7], 4711).into(), Scheme::Http), Some(parent))
    }
}
