//! The Prometheus text format, version 0.0.4.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use model::FunctionId;
use provider::Route;

use super::series::{BUCKETS_US, CodeSeries, Series};

pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

const BOUNDS: [&str; BUCKETS_US.len()] =
    ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10"];

/// Names are DNS labels, so that no label value needs escaping.
pub(super) fn write(routes: &[Arc<Route>], all: &[(FunctionId, Arc<Series>)]) -> String {
    let mut page = Page(String::with_capacity(4096));
    page.head("gateway_function_invocation_started", "counter", "Calls begun.");
    for (id, series) in all {
        page.line(format_args!(
            "gateway_function_invocation_started{{function_name=\"{id}\"}} {}",
            series.started()
        ));
    }
    page.head("gateway_function_invocation_total", "counter", "Calls completed, by status code.");
    for (id, series) in all {
        for (code, series) in series.codes() {
            page.line(format_args!(
                "gateway_function_invocation_total{{function_name=\"{id}\",code=\"{code}\"}} {}",
                series.count()
            ));
        }
    }
    page.head(
        "gateway_functions_seconds",
        "histogram",
        "Time from a call's beginning to the end of its answer.",
    );
    for (id, series) in all {
        for (code, series) in series.codes() {
            page.histogram(id, code, &series);
        }
    }
    page.head("gateway_service_count", "gauge", "Replicas wished for.");
    for route in routes {
        page.line(format_args!("gateway_service_count{{function_name=\"{}\"}} {}", route.id, route.desired));
    }
    page.0
}

struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing into a String does not fail.
        let _ = writeln!(self.0, "{line}");
    }

    fn histogram(&mut self, id: &FunctionId, code: u16, series: &CodeSeries) {
        let labels = format!("function_name=\"{id}\",code=\"{code}\"");
        let mut count = 0;
        for (bound, bucket) in BOUNDS.iter().chain(&["+Inf"]).zip(&series.buckets) {
            count += bucket.load(Ordering::Relaxed);
            self.line(format_args!("gateway_functions_seconds_bucket{{{labels},le=\"{bound}\"}} {count}"));
        }
        let sum = series.sum_us.load(Ordering::Relaxed) as f64 / 1e6;
        self.line(format_args!("gateway_functions_seconds_sum{{{labels}}} {sum}"));
        self.line(format_args!("gateway_functions_seconds_count{{{labels}}} {count}"));
    }
}
