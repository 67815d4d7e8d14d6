//! The Prometheus text format, version 0.0.4, a piece at a time: ten thousand functions are a page of megabytes.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Frame;
use provider::{Body, Route};

use super::Metrics;
use super::process::Process;
use super::samples::Samples;
use super::series::Series;

pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What one piece holds, before the family that fills it.
const PIECE_BYTES: usize = 32 * 1024;

/// A series of a family, and what has it.
enum Of {
    Function(fn(&Series, &mut Samples<'_>)),
    Service(fn(&Route, &mut Samples<'_>)),
    Gateway(fn(&Metrics, &mut Samples<'_>)),
}

const COUNTER: &str = "counter";
const GAUGE: &str = "gauge";
const HISTOGRAM: &str = "histogram";

/// The page, in its order. `docs/reference/metrics.md` is written from what it serves.
const FAMILIES: [(&str, &str, &str, Of); 12] = [
    ("gateway_function_invocation_started", COUNTER, "Calls begun.", Of::Function(started)),
    ("gateway_function_invocation_total", COUNTER, "Calls completed, by status code.", Of::Function(total)),
    (
        "gateway_functions_seconds",
        HISTOGRAM,
        "Time from a call's beginning to the end of its answer.",
        Of::Function(seconds),
    ),
    ("gateway_function_invocation_inflight", GAUGE, "Calls under way.", Of::Function(in_flight)),
    (
        "gateway_cold_start_seconds",
        HISTOGRAM,
        "How long calls that found no replica waited for one.",
        Of::Function(cold),
    ),
    ("gateway_service_count", GAUGE, "Replicas wished for.", Of::Service(count)),
    ("gateway_service_ready_count", GAUGE, "Replicas that take calls.", Of::Service(ready_count)),
    ("gateway_service_min", GAUGE, "Fewest replicas that scaling leaves, zero aside.", Of::Service(min)),
    (
        "gateway_service_target_load",
        GAUGE,
        "Load that one replica is meant to carry, by kind.",
        Of::Service(target_load),
    ),
    ("http_requests_total", COUNTER, "Requests to the management API and the queue.", Of::Gateway(requests)),
    (
        "http_request_duration_seconds",
        HISTOGRAM,
        "Time from such a request's head to the head of its answer.",
        Of::Gateway(durations),
    ),
    ("gateway_connections", GAUGE, "Connections of clients that are open.", Of::Gateway(connections)),
];

/// A page on its way out. What it names is fixed at the beginning; the numbers are those of the moment they are sent.
pub(super) struct Page {
    metrics: Arc<Metrics>,
    routes: Vec<Arc<Route>>,
    series: Vec<Arc<Series>>,
    /// The next family, and the next function in it.
    at: (usize, usize),
    ended: bool,
}

impl Page {
    pub fn new(metrics: Arc<Metrics>, routes: Vec<Arc<Route>>, series: Vec<Arc<Series>>) -> Self {
        Self { metrics, routes, series, at: (0, 0), ended: false }
    }

    /// One that fits into a piece is told its length; another is streamed.
    pub fn into_body(mut self) -> Body {
        let first = self.piece();
        match self.ended {
            true => Body::from(first),
            false => Body::boxed(Pieces { first: Some(first), page: self }),
        }
    }

    fn piece(&mut self) -> String {
        let mut text = String::with_capacity(PIECE_BYTES + PIECE_BYTES / 4);
        while text.len() < PIECE_BYTES && !self.ended {
            self.step(&mut text);
        }
        text
    }

    /// What one function has in a family, or all that a family of the gateway has.
    fn step(&mut self, text: &mut String) {
        let (family, item) = self.at;
        let Some((name, kind, help, of)) = FAMILIES.get(family) else {
            rest(&self.metrics, text);
            self.ended = true;
            return;
        };
        let mut samples = match item {
            0 => Samples::begin(text, name, kind, help),
            _ => Samples::go_on(text, name),
        };
        let more = match of {
            Of::Function(write) => self.series.get(item).map(|series| write(series, &mut samples)),
            Of::Service(write) => self.routes.get(item).map(|route| write(route, &mut samples)),
            Of::Gateway(write) => {
                write(&self.metrics, &mut samples);
                None
            }
        };
        self.at = if more.is_some() { (family, item + 1) } else { (family + 1, 0) };
    }
}

/// A page that is larger than one piece.
struct Pieces {
    first: Option<String>,
    page: Page,
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let pieces = self.get_mut();
        let piece = match pieces.first.take() {
            Some(first) => first,
            None if pieces.page.ended => return Poll::Ready(None),
            None => pieces.page.piece(),
        };
        Poll::Ready(Some(Ok(Frame::data(piece.into()))))
    }
}

fn started(series: &Series, samples: &mut Samples<'_>) {
    samples.integer(format_args!("function_name=\"{}\"", series.id), series.started());
}

fn total(series: &Series, samples: &mut Samples<'_>) {
    for (code, histogram) in series.completed.sorted() {
        let labels = format_args!("function_name=\"{}\",code=\"{code}\"", series.id);
        samples.integer(labels, histogram.count());
    }
}

fn seconds(series: &Series, samples: &mut Samples<'_>) {
    for (code, histogram) in series.completed.sorted() {
        samples.histogram(&format!("function_name=\"{}\",code=\"{code}\"", series.id), &histogram);
    }
}

fn in_flight(series: &Series, samples: &mut Samples<'_>) {
    samples.integer(format_args!("function_name=\"{}\"", series.id), series.in_flight());
}

fn cold(series: &Series, samples: &mut Samples<'_>) {
    if series.cold.count() > 0 {
        samples.histogram(&format!("function_name=\"{}\"", series.id), &series.cold);
    }
}

fn count(route: &Route, samples: &mut Samples<'_>) {
    samples.integer(format_args!("function_name=\"{}\"", route.id), route.desired);
}

fn ready_count(route: &Route, samples: &mut Samples<'_>) {
    samples.integer(format_args!("function_name=\"{}\"", route.id), route.ready);
}

fn min(route: &Route, samples: &mut Samples<'_>) {
    samples.integer(format_args!("function_name=\"{}\"", route.id), route.activate_to);
}

fn target_load(route: &Route, samples: &mut Samples<'_>) {
    let target = &route.load_target;
    let labels = format_args!("function_name=\"{}\",scaling_type=\"{}\"", route.id, target.scaling_type);
    samples.number(labels, target.per_replica);
}

fn requests(metrics: &Metrics, samples: &mut Samples<'_>) {
    for (path, method, codes) in metrics.requests.each() {
        for (code, histogram) in codes.sorted() {
            let labels = format_args!("method=\"{method}\",path=\"{path}\",status=\"{code}\"");
            samples.integer(labels, histogram.count());
        }
    }
}

fn durations(metrics: &Metrics, samples: &mut Samples<'_>) {
    for (path, method, codes) in metrics.requests.each() {
        for (code, histogram) in codes.sorted() {
            samples.histogram(&format!("method=\"{method}\",path=\"{path}\",status=\"{code}\""), &histogram);
        }
    }
}

fn connections(metrics: &Metrics, samples: &mut Samples<'_>) {
    samples.integer(format_args!(""), metrics.connections.load(Ordering::Relaxed) as u64);
}

/// What others count, what this build is, and the process.
fn rest(metrics: &Metrics, text: &mut String) {
    for more in &metrics.more.0 {
        more.collect(&mut super::Collected(text));
    }
    let version = &metrics.version;
    Samples::begin(text, "minke_build_info", GAUGE, "What this build is; always 1.").integer(
        format_args!("version=\"{}\",revision=\"{}\"", plain(&version.release), plain(&version.sha)),
        1_u8,
    );
    let Some(process) = Process::read() else { return };
    let mut one = |name, kind, help, value| {
        Samples::begin(text, name, kind, help).number(format_args!(""), value);
    };
    one("process_cpu_seconds_total", COUNTER, "Processor time used, user and system.", process.cpu_seconds);
    one("process_resident_memory_bytes", GAUGE, "Memory in use.", process.resident_bytes as f64);
    one("process_virtual_memory_bytes", GAUGE, "Address space in use.", process.virtual_bytes as f64);
    one("process_open_fds", GAUGE, "Descriptors that are open.", process.open_fds as f64);
    if let Some(max) = process.max_fds {
        one("process_max_fds", GAUGE, "Descriptors that may be open.", max as f64);
    }
    let help = "When the process began, seconds since 1970.";
    one("process_start_time_seconds", GAUGE, help, process.started_seconds);
}

/// A label's value that needs no escaping.
fn plain(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_graphic() && !matches!(c, '"' | '\\')).collect()
}
