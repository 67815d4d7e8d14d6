//! Traces as a collector gets them: the body is decoded by the types that OpenTelemetry generates.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::Message;

use crate::support::{Place, Platform};

const PATIENCE: Duration = Duration::from_secs(30);
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// What a collector was sent: the headers and the body of each request.
struct Collector {
    url: String,
    requests: Receiver<(String, ExportTraceServiceRequest)>,
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (sender, requests) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let mut stream = BufReader::new(stream);
                while let Some((head, body)) = request(&mut stream) {
                    let decoded = ExportTraceServiceRequest::decode(&*body).expect("OTLP");
                    if sender.send((head, decoded)).is_err() {
                        return;
                    }
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";
                    stream.get_mut().write_all(answer).expect("it is read");
                }
            }
        });
        Self { url, requests }
    }

    /// All that is sent until the platform has ended.
    fn all(self, platform: Platform) -> (Vec<String>, Vec<ExportTraceServiceRequest>) {
        platform.stop();
        self.requests.try_iter().unzip()
    }
}

/// The head, in lower case, and the body; none at the end of the connection.
fn request(stream: &mut BufReader<TcpStream>) -> Option<(String, Vec<u8>)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let head = head.to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
    let mut body = vec![0; length.trim().parse().expect("a number")];
    stream.read_exact(&mut body).ok()?;
    Some((head, body))
}

/// `minke up` with these settings, and a function `hello`.
fn platform(place: Place) -> (Place, Platform) {
    let platform = place.platform(&["--no-auth"]);
    let place = place.with("OPENFAAS_URL", &platform.url);
    let outcome = place.run(&["deploy", "--image", "hello", "--name", "hello", "--wait"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    (place, platform)
}

fn ask(url: &str, target: &str, headers: &str) -> String {
    let authority = url.trim_start_matches("http://").split('/').next().expect("an authority");
    let mut stream = TcpStream::connect(authority).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let request = format!("GET {target} HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).expect("it takes a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("text");
    answer
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn attributes(span: &Span) -> BTreeMap<&str, String> {
    let shown = |value: &Option<Value>| match value {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    let value = |pair: &'_ opentelemetry_proto::tonic::common::v1::KeyValue| {
        shown(&pair.value.as_ref().expect("a value").value)
    };
    span.attributes.iter().map(|pair| (pair.key.as_str(), value(pair))).collect()
}

fn status(span: &Span) -> StatusCode {
    span.status.as_ref().map_or(StatusCode::Unset, |status| status.code())
}

#[test]
fn spans_reach_a_collector() {
    let collector = Collector::start();
    let place = Place::new()
        .with("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url)
        .with("OTEL_EXPORTER_OTLP_HEADERS", "x-key=a%20b")
        .with("OTEL_SERVICE_NAME", "front")
        .with("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test");
    let (place, platform) = platform(place);
    assert_eq!(place.run(&["scale", "hello", "--replicas", "0"]).code, Some(0));
    let context =
        |flags: &str| format!("traceparent: 00-{TRACE}-{PARENT}-{flags}\r\ntracestate: a=1,b=2\r\n");
    let answer = ask(&platform.url, "/function/hello/p?status=503&token=s3cret", &context("01"));
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    ask(&platform.url, "/function/hello", &context("00"));
    ask(&platform.url, "/function/hello", "x-call-id: mine\r\nuser-agent: t/1\r\n");
    ask(&platform.url, "/system/functions", "");
    let (heads, sent) = collector.all(platform);

    for head in &heads {
        assert!(head.starts_with("post /v1/traces http/1.1\r\n"), "{head}");
        for line in ["\r\nx-key: a b\r\n", "\r\ncontent-type: application/x-protobuf\r\n"] {
            assert!(head.contains(line), "{head}");
        }
    }
    let resources: Vec<_> = sent.into_iter().flat_map(|request| request.resource_spans).collect();
    for resource in &resources {
        let told = &resource.resource.as_ref().expect("a resource").attributes;
        let text = format!("{told:?}");
        for part in ["service.name", "front", "service.version", "deployment.environment.name", "test"] {
            assert!(text.contains(part), "{text}");
        }
    }
    let spans: Vec<Span> =
        resources.into_iter().flat_map(|r| r.scope_spans).flat_map(|scope| scope.spans).collect();
    assert!(!format!("{spans:?}").contains("s3cret"));
    let of = |traced: bool| -> Vec<&Span> {
        spans.iter().filter(|span| (hex(&span.trace_id) == TRACE) == traced).collect()
    };

    // The caller's trace: its call, the wait for a replica, and the leg to it. The one with flag 00 is not recorded.
    let [call, activate, upstream] = of(true)[..] else { panic!("{spans:#?}") };
    assert_eq!((call.name.as_str(), call.kind()), ("GET /function/{name}", SpanKind::Server));
    assert_eq!((activate.name.as_str(), activate.kind()), ("activate", SpanKind::Internal));
    assert_eq!((upstream.name.as_str(), upstream.kind()), ("GET", SpanKind::Client));
    assert_eq!(hex(&call.parent_span_id), PARENT);
    assert_eq!(activate.parent_span_id, call.span_id);
    assert_eq!(upstream.parent_span_id, call.span_id);
    assert_eq!((call.trace_state.as_str(), upstream.trace_state.as_str()), ("a=1,b=2", "a=1,b=2"));
    assert_eq!(
        [status(call), status(activate), status(upstream)],
        [StatusCode::Error, StatusCode::Unset, StatusCode::Error]
    );
    assert!(call.start_time_unix_nano <= activate.start_time_unix_nano);
    assert!(activate.end_time_unix_nano <= upstream.start_time_unix_nano);
    assert!(upstream.end_time_unix_nano <= call.end_time_unix_nano);
    let told = attributes(call);
    for (name, value) in [
        ("http.request.method", "GET"),
        ("http.route", "/function/{name}"),
        ("http.response.status_code", "503"),
        ("error.type", "503"),
        ("url.path", "/function/hello/p"),
        ("url.scheme", "http"),
        ("network.protocol.version", "1.1"),
        ("client.address", "127.0.0.1"),
        ("minke.function", "hello.openfaas-fn"),
    ] {
        assert_eq!(told.get(name).map(String::as_str), Some(value), "{name} of {told:?}");
    }

    // One that begins here.
    let [call, upstream] = of(false)[..] else { panic!("{spans:#?}") };
    assert_eq!((call.parent_span_id.len(), upstream.parent_span_id.clone()), (0, call.span_id.clone()));
    assert_eq!((status(call), status(upstream)), (StatusCode::Unset, StatusCode::Unset));
    let told = attributes(call);
    assert_eq!((told["minke.call_id"].as_str(), told["user_agent.original"].as_str()), ("mine", "t/1"));
}

/// Nobody listens where traces are to go: they are dropped and counted, and calls know nothing of it.
#[test]
fn a_collector_that_is_away_costs_traces_alone() {
    const CALLS: usize = 600;
    let away = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let place = Place::new().with("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", format!("http://{away}/v1/traces"));
    let (_place, platform) = platform(place);
    for _ in 0..CALLS {
        let answer = ask(&platform.url, "/function/hello", "");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    let deadline = Instant::now() + PATIENCE;
    loop {
        let page = ask(&platform.metrics, "/metrics", "");
        let dropped = page.lines().find_map(|line| line.strip_prefix("minke_traces_dropped_total "));
        if dropped.expect("it is counted").parse::<usize>().expect("a number") == CALLS {
            assert!(page.contains("\nminke_traces_exported_total 0\n"), "{page}");
            break;
        }
        assert!(Instant::now() < deadline, "{page}");
    }
    platform.stop();
}

#[test]
fn settings_that_cannot_be_meant_are_refused() {
    let place = Place::new().with("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317");
    let outcome = place.run(&["up", "--provider", "memory", "--no-auth"]);
    assert_eq!(outcome.code, Some(64), "{outcome:?}");
    assert!(outcome.stderr.contains("OTEL_EXPORTER_OTLP_ENDPOINT"), "{outcome:?}");
}
