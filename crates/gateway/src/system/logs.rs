//! `/system/logs`: a stream of JSON, a line for a line, for as long as there may be more.

use std::time::SystemTime;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response};
use http_body::Frame;
use http_body_util::StreamBody;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use model::wire::LogMessage;
use model::{FunctionId, FunctionName, LogLine, LogQuery, Namespace};
use provider::{Body, BoxError, ProviderError};

use super::{Asked, Reply, is_true};
use crate::error::ApiError;

/// How far back a reader sees who asks neither for a time nor for a number of lines.
const SINCE_DEFAULT: SignedDuration = SignedDuration::from_mins(5);

pub(super) async fn logs(asked: Asked<'_>) -> Reply {
    let namespace = asked.namespace(None)?;
    let now = Timestamp::try_from(SystemTime::now()).unwrap_or_default();
    let query = parse(asked.parts.uri.query().unwrap_or_default(), namespace, now)?;
    let lines = asked.gateway.provider.logs(query).await?;
    let body = StreamBody::new(frames(lines.take_until(asked.gateway.tasks.ending())));
    let mut response = Response::new(Body::boxed(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    Ok(response)
}

/// A frame for each line, so that each is sent when it is there.
fn frames(
    lines: impl Stream<Item = Result<LogLine, ProviderError>>,
) -> impl Stream<Item = Result<Frame<Bytes>, BoxError>> {
    lines.map(|line| {
        let line = line.inspect_err(|error| tracing::warn!(error = error.chain(), "a log broke off"))?;
        let mut text = serde_json::to_vec(&LogMessage::from(line))?;
        text.push(b'\n');
        Ok(Frame::data(text.into()))
    })
}

/// The last of a key that is there several times counts, and one without a value does not.
fn parse(query: &str, namespace: Namespace, now: Timestamp) -> Result<LogQuery, ApiError> {
    let (mut name, mut instance, mut tail, mut since, mut follow) = (None, None, None, None, false);
    for (key, value) in form_urlencoded::parse(query.as_bytes()).filter(|(_, value)| !value.is_empty()) {
        match &*key {
            "name" => name = Some(value),
            "instance" => instance = Some(value.into_owned()),
            "tail" => tail = Some(value),
            "since" => since = Some(value),
            "follow" => follow = is_true(&value),
            _ => {}
        }
    }
    let name = name.ok_or_else(|| ApiError::Invalid("name: is required".into()))?;
    let tail = tail.map(|text| lines(&text)).transpose()?.flatten();
    let since = match since {
        Some(text) => Some(time(&text)?),
        None if tail.is_some() => None,
        None => now.checked_sub(SINCE_DEFAULT).ok(),
    };
    // A name that no function can have is one that is not there.
    let missing = || ProviderError::NotFound { kind: "function", name: format!("{name}.{namespace}") };
    let name = FunctionName::parse(&name).map_err(|_| missing())?;
    Ok(LogQuery { function: FunctionId::new(name, namespace), instance, tail, since, follow })
}

/// None, and less than none, is all of them.
fn lines(text: &str) -> Result<Option<usize>, ApiError> {
    let told = || ApiError::Unprocessable("tail: is not a whole number; -1 is for all lines".into());
    let number = text.parse::<i64>().map_err(|_| told())?;
    Ok(usize::try_from(number).ok().filter(|number| *number > 0))
}

/// RFC 3339; without an offset, as some clients write it, in UTC. A `+` that was not escaped came as a space.
fn time(text: &str) -> Result<Timestamp, ApiError> {
    let parse = |text: &str| {
        let civil = || TimeZone::UTC.to_timestamp(text.parse::<DateTime>().ok()?).ok();
        text.parse::<Timestamp>().ok().or_else(civil)
    };
    parse(text).or_else(|| parse(&text.replacen(' ', "+", 1))).ok_or_else(|| {
        ApiError::Unprocessable("since: is not a time; write it like 2026-01-02T03:04:05Z".into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-01-02T03:04:05Z";

    fn parsed(query: &str) -> Result<LogQuery, u16> {
        let parsed = parse(query, Namespace::default(), NOW.parse().unwrap());
        parsed.map_err(|error| error.response().status().as_u16())
    }

    #[test]
    fn a_query_is_read_as_clients_write_it() {
        let check = |query: &str, tail: Option<usize>, since: Option<&str>, follow: bool| {
            let query = parsed(&format!("name=env&{query}")).expect(query);
            assert_eq!(query.function.to_string(), "env.openfaas-fn");
            let since = since.map(|text| text.parse().unwrap());
            assert_eq!((query.tail, query.since, query.follow), (tail, since, follow), "{query:?}");
        };
        let recent = Some("2026-01-02T02:59:05Z");
        check("", None, recent, false);
        check("tail=-1&follow=true&since=", None, recent, true);
        check("tail=0", None, recent, false);
        check("tail=&follow=1", None, recent, true);
        check("tail=10&follow=0", Some(10), None, false);
        check("tail=5&tail=7", Some(7), None, false);
        check("tail=7&since=2026-01-01T00:00:00Z", Some(7), Some("2026-01-01T00:00:00Z"), false);
        for (text, same) in [
            ("2026-01-01T00:00:00.5%2B01:00", "2025-12-31T23:00:00.5Z"),
            ("2026-01-01T00:00:00+01:00", "2025-12-31T23:00:00Z"),
            ("2026-01-01T00:00:00", "2026-01-01T00:00:00Z"),
            ("2026-01-01T00:00:00.123456", "2026-01-01T00:00:00.123456Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ] {
            check(&format!("since={text}"), None, Some(same), false);
        }
        for text in ["t", "T", "true", "TRUE", "True", "1"] {
            check(&format!("tail=1&follow={text}"), Some(1), None, true);
        }
        for text in ["f", "yes", "tRue", "0", "2", "%20"] {
            check(&format!("tail=1&follow={text}"), Some(1), None, false);
        }
        assert_eq!(parsed("name=a&name=b&instance=x%20y").unwrap().function.name.as_str(), "b");
        assert_eq!(parsed("name=a&instance=x%20y").unwrap().instance.as_deref(), Some("x y"));
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for (query, status) in [
            ("", 400),
            ("name=", 400),
            ("name=env&tail=many", 422),
            ("name=env&tail=1.0", 422),
            ("name=env&tail=99999999999999999999", 422),
            ("name=env&since=yesterday", 422),
            ("name=env&since=1767225600", 422),
            ("name=env&since=2026-13-01T00:00:00Z", 422),
            ("name=Not_A_Name", 404),
        ] {
            assert_eq!(parsed(query).expect_err(query), status, "{query}");
        }
    }
}
