//! A call as OpenTelemetry shows it: the semantic conventions of HTTP (stable since 1.23), and what is ours as `minke.*`.

use std::str::FromStr;
use std::time::Duration;

use gateway::{Exchange, Leg, LegKind, Traced};
use http::Version;
use opentelemetry::trace::{SpanContext, SpanKind, Status, TraceFlags, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

/// Status of a request whose client left.
const CLIENT_LEFT: u16 = 499;

/// The call's own span, and one for each leg; none of a call that is not recorded.
pub fn of(exchange: &Exchange) -> Vec<SpanData> {
    let Some(traced) = &exchange.traced else { return Vec::new() };
    let legs = exchange.legs.iter().map(|leg| of_leg(exchange, traced, leg));
    std::iter::once(of_call(exchange, traced)).chain(legs).collect()
}

fn of_call(exchange: &Exchange, traced: &Traced) -> SpanData {
    let Exchange { path, status, .. } = exchange;
    let route = ["/function/", "/async-function/"].into_iter().find(|prefix| path.starts_with(prefix));
    let route = route.map(|prefix| format!("{prefix}{{name}}"));
    let mut attributes = vec![
        KeyValue::new("url.path", path.clone()),
        KeyValue::new("url.scheme", exchange.scheme),
        KeyValue::new("http.response.status_code", i64::from(*status)),
        KeyValue::new("http.response.body.size", integer(exchange.response_bytes)),
        KeyValue::new("network.protocol.version", protocol_version(exchange.version)),
        KeyValue::new("network.peer.address", exchange.peer.ip().to_string()),
        KeyValue::new("network.peer.port", i64::from(exchange.peer.port())),
        KeyValue::new("client.address", exchange.peer.ip().to_string()),
    ];
    attributes.extend(requested_by(exchange));
    let text = |name: &'static str, value: &Option<String>| Some(KeyValue::new(name, value.clone()?));
    attributes.extend(text("http.route", &route));
    attributes.extend(text("server.address", &exchange.host));
    attributes.extend(text("user_agent.original", &exchange.user_agent));
    attributes.extend(text("minke.function", &exchange.function));
    attributes.extend(text("minke.call_id", &exchange.call_id));
    attributes.extend(exchange.request_bytes.map(|n| KeyValue::new("http.request.body.size", integer(n))));
    let failed = match (*status, exchange.complete) {
        (CLIENT_LEFT, _) => Some("client_left".to_owned()),
        (500.., _) => Some(status.to_string()),
        (_, false) => Some("broken_off".to_owned()),
        _ => None,
    };
    let name = match &route {
        Some(route) => format!("{} {route}", known_method(exchange)),
        None => known_method(exchange).to_owned(),
    };
    let parent = traced.parent.map(|parent| parent.span.to_bytes());
    SpanData {
        parent_span_is_remote: parent.is_some(),
        ..span(
            exchange,
            (traced, traced.span.to_bytes(), parent.unwrap_or_default()),
            SpanKind::Server,
            name,
            (Duration::ZERO, exchange.took),
            (attributes, failed),
        )
    }
}

fn of_leg(exchange: &Exchange, traced: &Traced, leg: &Leg) -> SpanData {
    let status = exchange.status;
    let (id, kind, name, attributes, failed) = match &leg.kind {
        LegKind::Activation => {
            // No replica came: the way of the call ended there.
            let last = exchange.legs.last().is_some_and(|last| std::ptr::eq(last, leg));
            let failed = Some("no_replica".to_owned()).filter(|_| last);
            (None, SpanKind::Internal, "activate", Vec::new(), failed)
        }
        LegKind::Unreached { replica } => {
            let attributes = vec![KeyValue::new("minke.replica", replica.clone())];
            (None, SpanKind::Client, known_method(exchange), attributes, Some("connect".to_owned()))
        }
        LegKind::Upstream { replica } => {
            let attributes = vec![
                KeyValue::new("minke.replica", replica.clone()),
                KeyValue::new("http.response.status_code", i64::from(status)),
            ];
            let failed = (status >= 400).then(|| status.to_string());
            (Some(traced.upstream), SpanKind::Client, known_method(exchange), attributes, failed)
        }
    };
    let attributes = match kind {
        SpanKind::Client => attributes.into_iter().chain(requested_by(exchange)).collect(),
        _ => attributes,
    };
    let id = id.unwrap_or_else(gateway::SpanId::random).to_bytes();
    let (began, ended) = (leg.began, leg.ended);
    span(
        exchange,
        (traced, id, traced.span.to_bytes()),
        kind,
        name.to_owned(),
        (began, ended),
        (attributes, failed),
    )
}

fn span(
    exchange: &Exchange,
    (traced, id, parent): (&Traced, [u8; 8], [u8; 8]),
    span_kind: SpanKind,
    name: String,
    (began, ended): (Duration, Duration),
    (mut attributes, failed): (Vec<KeyValue>, Option<String>),
) -> SpanData {
    let state = traced.state.as_deref().and_then(|state| TraceState::from_str(state).ok());
    let trace = opentelemetry::TraceId::from_bytes(traced.trace.to_bytes());
    let id = opentelemetry::SpanId::from_bytes(id);
    let status = match &failed {
        Some(_) => Status::error(""),
        None => Status::Unset,
    };
    attributes.extend(failed.map(|why| KeyValue::new("error.type", why)));
    SpanData {
        span_context: SpanContext::new(trace, id, TraceFlags::SAMPLED, false, state.unwrap_or_default()),
        parent_span_id: opentelemetry::SpanId::from_bytes(parent),
        parent_span_is_remote: false,
        span_kind,
        name: name.into(),
        start_time: exchange.began + began,
        end_time: exchange.began + ended,
        attributes,
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status,
        instrumentation_scope: InstrumentationScope::builder("minke-gateway").build(),
    }
}

/// A method that no standard knows would be a name of its own for each that somebody thinks up.
fn known_method(exchange: &Exchange) -> &str {
    match exchange.method.as_str() {
        known @ ("GET" | "HEAD" | "POST" | "PUT" | "DELETE" | "CONNECT" | "OPTIONS" | "TRACE" | "PATCH") => {
            known
        }
        _ => "HTTP",
    }
}

fn requested_by(exchange: &Exchange) -> Vec<KeyValue> {
    match known_method(exchange) {
        "HTTP" => vec![
            KeyValue::new("http.request.method", "_OTHER"),
            KeyValue::new("http.request.method_original", exchange.method.to_string()),
        ],
        known => vec![KeyValue::new("http.request.method", known.to_owned())],
    }
}

fn protocol_version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => "1.1",
    }
}

fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
