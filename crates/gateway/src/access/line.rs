//! One line. Everything that a client wrote is escaped, so that a line is one line and a field one field.

use std::fmt::Write as _;
use std::io::Write;
use std::time::{Duration, SystemTime};

use http::Version;
use serde::Serialize;

use super::AccessFormat;
use crate::exchange::Exchange;

/// The fields of a JSON line, in their order; what is not known is left out.
#[derive(Serialize)]
struct Json<'a> {
    time: String,
    method: &'a str,
    path: &'a str,
    status: u16,
    duration_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    function: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    call_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_in: Option<u64>,
    bytes_out: u64,
    complete: bool,
    peer: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<&'a str>,
    protocol: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
}

pub(super) fn write(format: AccessFormat, exchange: &Exchange, line: &mut Vec<u8>) {
    match format {
        AccessFormat::Text => line.extend_from_slice(text(exchange).as_bytes()),
        AccessFormat::Json => {
            // Writing into a Vec does not fail, nor do these fields.
            let _ = serde_json::to_writer(&mut *line, &json(exchange));
            let _ = line.write_all(b"\n");
        }
    }
}

fn json(exchange: &Exchange) -> Json<'_> {
    let (function, namespace) = called(exchange);
    Json {
        time: rfc3339(exchange.began),
        method: exchange.method.as_str(),
        path: &exchange.path,
        status: exchange.status,
        duration_ms: millis(exchange.took),
        function,
        namespace,
        call_id: exchange.call_id.as_deref(),
        bytes_in: exchange.request_bytes,
        bytes_out: exchange.response_bytes,
        complete: exchange.complete,
        peer: exchange.peer.to_string(),
        host: exchange.host.as_deref(),
        user_agent: exchange.user_agent.as_deref(),
        protocol: protocol(exchange.version),
        trace_id: exchange.trace_id.map(|id| id.to_string()),
    }
}

fn text(exchange: &Exchange) -> String {
    let (function, namespace) = called(exchange);
    let mut line = format!(
        "{} {} {} {} {}ms",
        rfc3339(exchange.began),
        plain(exchange.method.as_str()),
        plain(&exchange.path),
        exchange.status,
        millis(exchange.took),
    );
    let mut field = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            let _ = write!(line, " {name}={}", plain(value));
        }
    };
    field("function", function);
    field("namespace", namespace);
    field("call_id", exchange.call_id.as_deref());
    field("in", exchange.request_bytes.map(|bytes| bytes.to_string()).as_deref());
    field("out", Some(&exchange.response_bytes.to_string()));
    field("complete", Some("no").filter(|_| !exchange.complete));
    field("peer", Some(&exchange.peer.to_string()));
    field("protocol", Some(protocol(exchange.version)));
    field("trace_id", exchange.trace_id.map(|id| id.to_string()).as_deref());
    field("user_agent", exchange.user_agent.as_deref());
    line.push('\n');
    line
}

/// The function and its namespace, where the name tells both.
fn called(exchange: &Exchange) -> (Option<&str>, Option<&str>) {
    match exchange.function.as_deref().map(|full| full.split_once('.').unwrap_or((full, ""))) {
        Some((name, "")) => (Some(name), None),
        Some((name, namespace)) => (Some(name), Some(namespace)),
        None => (None, None),
    }
}

/// As it is when it is one word; else quoted, with everything escaped that could end a line, a field or a terminal's
/// patience.
fn plain(text: &str) -> String {
    let harmless = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '"' | '\\' | '=');
    if !text.is_empty() && text.chars().all(harmless) { text.to_owned() } else { format!("{text:?}") }
}

fn millis(took: Duration) -> f64 {
    took.as_micros() as f64 / 1e3
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_11 => "HTTP/1.1",
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_3 => "HTTP/3",
        _ => "HTTP",
    }
}

/// UTC, with milliseconds. The days of a date are Howard Hinnant's `civil_from_days`.
fn rfc3339(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let (days, second) = ((since.as_secs() / 86_400) as i64, since.as_secs() % 86_400);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    let (hour, minute) = (second / 3600, second / 60 % 60);
    let (second, milli) = (second % 60, since.subsec_millis());
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::trace::{Parent, SpanId, TraceId};

    fn exchange() -> Exchange {
        let request = http::Request::post("http://g/function/hello.dev/a?token=s3cret")
            .header("user-agent", "curl/8.0\" \n\x1b[31m=evil".replace(['\n', '\x1b'], "\t"))
            .header("content-length", "5")
            .header("x-call-id", "abc")
            .body(())
            .unwrap();
        let parent = Parent { trace: TraceId::random(), span: SpanId::random(), sampled: false };
        let mut exchange = crate::exchange::tests::facts(&request, &parent);
        exchange.began = SystemTime::UNIX_EPOCH + Duration::from_millis(1_764_000_000_123);
        exchange.took = Duration::from_micros(1234);
        (exchange.status, exchange.response_bytes, exchange.complete) = (200, 11, true);
        exchange.trace_id = None;
        exchange
    }

    fn line(format: AccessFormat, exchange: &Exchange) -> String {
        let mut line = Vec::new();
        write(format, exchange, &mut line);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn a_line_of_each_form() {
        assert_eq!(
            line(AccessFormat::Text, &exchange()),
            "2025-11-24T16:00:00.123Z POST /function/hello.dev/a 200 1.234ms function=hello namespace=dev call_id=abc \
             in=5 out=11 peer=192.0.2.7:4711 protocol=HTTP/1.1 user_agent=\"curl/8.0\\\" \\t\\t[31m=evil\"\n"
        );
        assert_eq!(
            line(AccessFormat::Json, &exchange()),
            "{\"time\":\"2025-11-24T16:00:00.123Z\",\"method\":\"POST\",\"path\":\"/function/hello.dev/a\",\
             \"status\":200,\"duration_ms\":1.234,\"function\":\"hello\",\"namespace\":\"dev\",\"call_id\":\"abc\",\
             \"bytes_in\":5,\"bytes_out\":11,\"complete\":true,\"peer\":\"192.0.2.7:4711\",\"host\":\"g\",\
             \"user_agent\":\"curl/8.0\\\" \\t\\t[31m=evil\",\"protocol\":\"HTTP/1.1\"}\n"
        );
    }

    /// Whatever is written into a field, a line stays one line.
    #[test]
    fn no_field_makes_a_line_of_its_own() {
        let evil = "a\r\n2025 GET /x 200\u{2028}\u{85}\x1b[2J\0 =\"\\";
        for format in [AccessFormat::Text, AccessFormat::Json] {
            let mut exchange = exchange();
            exchange.path = evil.into();
            exchange.method = Method::from_bytes(b"BREW").unwrap();
            for field in
                [&mut exchange.user_agent, &mut exchange.call_id, &mut exchange.function, &mut exchange.host]
            {
                *field = Some(evil.into());
            }
            let line = line(format, &exchange);
            assert_eq!(line.matches(['\n', '\r', '\x1b', '\0']).count(), 1, "{line:?}");
            assert!(line.ends_with('\n') && line.contains("BREW"), "{line:?}");
            if format == AccessFormat::Text {
                assert!(!line.contains(['\u{2028}', '\u{85}']), "{line:?}");
            } else {
                let value: serde_json::Value = serde_json::from_str(&line).unwrap();
                assert_eq!(value["path"], evil);
            }
        }
    }

    #[test]
    fn times_are_dates() {
        let check = |seconds: u64, want: &str| {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!(rfc3339(time), want);
        };
        check(0, "1970-01-01T00:00:00.000Z");
        check(951_782_399, "2000-02-28T23:59:59.000Z");
        check(951_782_400, "2000-02-29T00:00:00.000Z");
        check(951_868_800, "2000-03-01T00:00:00.000Z");
        check(4_107_542_399, "2100-02-28T23:59:59.000Z");
        check(4_107_542_400, "2100-03-01T00:00:00.000Z");
    }
}
