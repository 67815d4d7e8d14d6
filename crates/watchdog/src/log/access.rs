//! The access line: one a call, when its answer has ended. Queries are left out, for they hold tokens.

use std::fmt;
use std::time::Duration;

use super::{Log, Stream, clock};

/// A caller's path may be a megabyte; its line is not.
const PATH_MAX: usize = 1024;

/// What is known of a call at its end.
pub struct Access<'a> {
    pub method: &'a http::Method,
    pub path: &'a str,
    /// `None` when the caller left before an answer.
    pub status: Option<http::StatusCode>,
    /// Mode http names the status and the call id.
    pub long: bool,
    pub length: Option<u64>,
    pub aborted: bool,
    pub took: Duration,
    pub call_id: Option<&'a str>,
}

impl Log {
    pub fn access(&self, access: &Access<'_>) {
        self.writer.offer(Stream::Stderr, |line| {
            use std::io::Write;
            clock::stamp(line);
            // Writing to memory does not fail.
            let _ = writeln!(line, "{access}");
        });
    }
}

impl fmt::Display for Access<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:.PATH_MAX$} - ", self.method, self.path)?;
        match self.status {
            None => f.write_str("closed by the caller")?,
            Some(status) if self.long => write!(f, "{status}")?,
            Some(status) => f.write_str(status.as_str())?,
        }
        f.write_str(" - ContentLength: ")?;
        match self.length {
            Some(length) => write!(f, "{}", Size(length))?,
            None => f.write_str("-1B")?,
        }
        write!(f, " ({:.4}s)", self.took.as_secs_f64())?;
        if let Some(id) = self.call_id {
            write!(f, " [{id}]")?;
        }
        if self.aborted { f.write_str(" aborted") } else { Ok(()) }
    }
}

/// Decimal units, four significant digits: `1.53kB`.
struct Size(u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
        let mut value = self.0 as f64;
        let mut unit = 0;
        while value >= 1000.0 && unit + 1 < units.len() {
            value /= 1000.0;
            unit += 1;
        }
        let decimals = match value {
            v if v >= 100.0 => 1,
            v if v >= 10.0 => 2,
            _ => 3,
        };
        let text = format!("{value:.decimals$}");
        let text = text.trim_end_matches('0').trim_end_matches('.');
        write!(f, "{}{}", if text.is_empty() { "0" } else { text }, units[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_four_digits() {
        let check = |bytes, text: &str| assert_eq!(Size(bytes).to_string(), text);
        check(0, "0B");
        check(256, "256B");
        check(1_530, "1.53kB");
        check(1_536, "1.536kB");
        check(100_000, "100kB");
        check(67_108_864, "67.11MB");
    }

    #[test]
    fn a_line_tells_the_call() {
        let access = Access {
            method: &http::Method::GET,
            path: "/path",
            status: Some(http::StatusCode::OK),
            long: true,
            length: Some(256),
            aborted: false,
            took: Duration::from_micros(1_200),
            call_id: Some("none"),
        };
        assert_eq!(access.to_string(), "GET /path - 200 OK - ContentLength: 256B (0.0012s) [none]");
    }
}
