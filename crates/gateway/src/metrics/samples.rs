//! The lines of one family.

use std::fmt::{Arguments, Display, Write};

use super::histogram::Histogram;

/// Where the samples of one family are written. Names are DNS labels, so that no label value needs escaping.
pub(super) struct Samples<'a> {
    text: &'a mut String,
    name: &'static str,
}

impl<'a> Samples<'a> {
    pub fn begin(text: &'a mut String, name: &'static str, kind: &str, help: &str) -> Self {
        let mut samples = Self::go_on(text, name);
        samples.line(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}"));
        samples
    }

    pub fn go_on(text: &'a mut String, name: &'static str) -> Self {
        Self { text, name }
    }

    pub fn integer(&mut self, labels: Arguments<'_>, value: impl Into<u64>) {
        self.sample(labels, value.into());
    }

    pub fn number(&mut self, labels: Arguments<'_>, value: f64) {
        self.sample(labels, value);
    }

    pub fn histogram(&mut self, labels: &str, histogram: &Histogram) {
        let name = self.name;
        let mut all = 0;
        for (bound, count) in histogram.cumulated() {
            self.line(format_args!("{name}_bucket{{{labels},le=\"{bound}\"}} {count}"));
            all = count;
        }
        self.line(format_args!("{name}_sum{{{labels}}} {}", histogram.sum_seconds()));
        self.line(format_args!("{name}_count{{{labels}}} {all}"));
    }

    fn sample(&mut self, labels: Arguments<'_>, value: impl Display) {
        let name = self.name;
        match labels.as_str() {
            Some("") => self.line(format_args!("{name} {value}")),
            _ => self.line(format_args!("{name}{{{labels}}} {value}")),
        }
    }

    fn line(&mut self, line: Arguments<'_>) {
        // Writing into a String does not fail.
        let _ = writeln!(self.text, "{line}");
    }
}
