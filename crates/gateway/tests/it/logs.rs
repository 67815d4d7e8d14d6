//! `/system/logs` on the wire: heads at once, a line when it is written, and an end to every stream.

use std::sync::Arc;
use std::time::Duration;

use gateway::Config;
use provider::{Memory, Provider};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::exchanges::{check, empty, request, text};
use crate::support::{Served, echoing, id, in_time, read_until};

async fn start() -> (Served, Arc<Memory>) {
    let memory = echoing(&["env", "quiet"]).await;
    // Neither a silent function's timeout nor a silent client's is that of a log.
    let config = Config {
        upstream_timeout: Duration::from_millis(50),
        read_timeout: Duration::from_millis(50),
        ..Config::default()
    };
    (Served::start(memory.clone(), config).await, memory)
}

async fn write(served: &Served, line: &str) {
    let answer = served.raw(request(&format!("GET /function/env\nx-echo-log: {line}"))).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

async fn open(served: &Served, target: &str) -> TcpStream {
    let mut stream = TcpStream::connect(served.api).await.expect("connect");
    let request = format!("GET {target} HTTP/1.1\r\nhost: g\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("write");
    stream
}

/// The texts of the lines in a body, chunk sizes aside.
fn texts(answer: &str) -> Vec<String> {
    let lines = answer.lines().filter(|line| line.starts_with('{'));
    let parsed = lines.map(|line| serde_json::from_str::<serde_json::Value>(line).expect(line));
    parsed.map(|line| line["text"].as_str().expect("text").to_owned()).collect()
}

#[tokio::test]
async fn lines_are_json_one_for_one() {
    let (served, _) = start().await;
    write(&served, "first \"line\"").await;
    write(&served, "second").await;
    let answer = served.raw(request("GET /system/logs?name=env")).await;
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains("\r\ncontent-type: application/x-ndjson\r\n"), "{head}");
    assert!(body.ends_with("0\r\n\r\n"), "a whole end: {body}");
    assert_eq!(texts(body), ["first \"line\"", "second"]);
    let first = body.lines().find(|line| line.starts_with('{')).expect("a line");
    let first: serde_json::Value = serde_json::from_str(first).expect("JSON");
    assert_eq!((&first["name"], &first["namespace"]), (&"env".into(), &"openfaas-fn".into()));
    assert_eq!(first["instance"], "env.openfaas-fn-0");
    let time = first["timestamp"].as_str().expect("timestamp");
    assert!(time.starts_with("20") && time.ends_with('Z') && time.contains('.'), "{time}");
    for (query, want) in [
        ("tail=1", &["second"][..]),
        ("tail=-1", &["first \"line\"", "second"]),
        ("tail=0&since=2020-01-01T00:00:00", &["first \"line\"", "second"]),
        ("since=2999-01-01T00:00:00Z", &[]),
        ("instance=env.openfaas-fn-0&tail=1", &["second"]),
        ("instance=other", &[]),
        ("namespace=openfaas-fn&follow=no", &["first \"line\"", "second"]),
    ] {
        let answer = served.raw(request(&format!("GET /system/logs?name=env&{query}"))).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert_eq!(texts(&answer), want, "{query}");
    }
    let quiet = served.raw(request("GET /system/logs?name=quiet")).await;
    assert!(quiet.starts_with("HTTP/1.1 200 ") && quiet.ends_with("\r\n\r\n0\r\n\r\n"), "{quiet}");
    served.stop().await;
}

#[tokio::test]
async fn bad_queries_are_told() {
    let (served, _) = start().await;
    for (query, status, words) in [
        ("", 400, "name: is required"),
        ("?name=", 400, "name: is required"),
        ("?name=env&tail=many", 422, "tail: is not a whole number"),
        ("?name=env&since=yesterday", 422, "since: is not a time"),
        ("?name=env&namespace=No", 400, "namespace: "),
        ("?name=nobody", 404, "function nobody.openfaas-fn is not found"),
        ("?name=nobody&follow=1", 404, "function nobody.openfaas-fn is not found"),
        ("?name=env&namespace=nowhere", 404, "function env.nowhere is not found"),
        ("?name=No_Name", 404, "function No_Name.openfaas-fn is not found"),
    ] {
        let answer = served.raw(request(&format!("GET /system/logs{query}"))).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{query}\n→ {answer}");
        assert!(answer.contains(words), "{query}\n→ {answer}");
    }
    let refused = "HTTP/1.1 405 Method Not Allowed\nallow: GET\nconnection: close\ncontent-length: 0\n\n";
    check(&served, "POST /system/logs?name=env", refused).await;
    served.stop().await;
}

#[tokio::test]
async fn a_reader_that_follows_has_the_head_at_once_and_each_line_when_it_is_written() {
    let (served, memory) = start().await;
    let mut stream = open(&served, "/system/logs?name=env&follow=true").await;
    let head = read_until(&mut stream, "\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("application/x-ndjson"), "{head}");
    for n in 0..3 {
        // Longer than any timeout of calls.
        tokio::time::sleep(Duration::from_millis(70)).await;
        write(&served, &format!("line {n}")).await;
        let line = read_until(&mut stream, "}\n\r\n").await;
        assert_eq!(texts(&line), [format!("line {n}")]);
    }
    memory.delete(&id("env")).await.expect("delete");
    assert_eq!(read_until(&mut stream, "0\r\n\r\n").await, "0\r\n\r\n");
    // The connection serves on.
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: g\r\n\r\n").await.expect("write");
    let next = read_until(&mut stream, "\r\n\r\n").await;
    assert!(next.starts_with("HTTP/1.1 200 "), "{next}");
    served.stop().await;
}

#[tokio::test]
async fn the_end_of_the_server_ends_a_log_that_is_followed() {
    let (mut served, _) = start().await;
    write(&served, "only").await;
    let mut stream = open(&served, "/system/logs?name=env&follow=1").await;
    read_until(&mut stream, "}\n\r\n").await;
    served.begin_stop();
    let mut rest = String::new();
    in_time(stream.read_to_string(&mut rest)).await.expect("read");
    assert_eq!(rest, "0\r\n\r\n", "a whole end");
    served.stop().await;
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_reading() {
    let (asked, mut readings) = tokio::sync::mpsc::unbounded_channel();
    let served = Served::start(Arc::new(Watched { asked, routes: Arc::default() }), Config::default()).await;
    let mut stream = open(&served, "/system/logs?name=env&follow=1").await;
    read_until(&mut stream, "\r\n\r\n").await;
    let reading = in_time(readings.recv()).await.expect("a reading");
    drop(stream);
    in_time(reading).await.expect_err("it is dropped");
    let told = "the log is unavailable";
    check(&served, "GET /system/logs?name=broken", &text("502 Bad Gateway", told)).await;
    check(&served, "GET /healthz", &empty("200 OK")).await;
    let cut = served.raw(request("GET /system/logs?name=half")).await;
    assert_eq!(texts(&cut), ["whole"]);
    assert!(!cut.ends_with("0\r\n\r\n"), "what broke off does not end well: {cut}");
    served.stop().await;
}

mod watched {
    use std::sync::Arc;

    use async_trait::async_trait;
    use futures_util::{StreamExt, stream};
    use model::{FunctionId, FunctionSpec, FunctionStatus, LogLine, LogQuery, Namespace, ProviderInfo};
    use provider::{LogStream, Provider, ProviderError, RouteTable};
    use tokio::sync::{mpsc, oneshot};

    /// Logs that never speak and tell when nobody listens, and some that fail.
    pub struct Watched {
        pub asked: mpsc::UnboundedSender<oneshot::Receiver<()>>,
        pub routes: Arc<RouteTable>,
    }

    fn no<T>() -> Result<T, ProviderError> {
        Err(ProviderError::Unsupported("this"))
    }

    fn gone() -> ProviderError {
        ProviderError::Unavailable { what: "the log".into(), source: None }
    }

    #[async_trait]
    impl Provider for Watched {
        async fn info(&self) -> Result<ProviderInfo, ProviderError> {
            no()
        }
        fn routes(&self) -> Arc<RouteTable> {
            Arc::clone(&self.routes)
        }
        async fn deploy(&self, _: FunctionSpec) -> Result<(), ProviderError> {
            no()
        }
        async fn update(&self, _: FunctionSpec) -> Result<(), ProviderError> {
            no()
        }
        async fn delete(&self, _: &FunctionId) -> Result<(), ProviderError> {
            no()
        }
        async fn list(&self, _: &Namespace) -> Result<Vec<FunctionStatus>, ProviderError> {
            no()
        }
        async fn get(&self, _: &FunctionId) -> Result<FunctionStatus, ProviderError> {
            no()
        }
        async fn scale(&self, _: &FunctionId, _: u32) -> Result<(), ProviderError> {
            no()
        }
        async fn namespaces(&self) -> Result<Vec<Namespace>, ProviderError> {
            no()
        }
        async fn logs(&self, query: LogQuery) -> Result<LogStream, ProviderError> {
            match query.function.name.as_str() {
                "broken" => Err(gone()),
                "half" => {
                    let line = LogLine {
                        function: query.function,
                        instance: "a".into(),
                        timestamp: "2026-01-02T03:04:05Z".parse().expect("time"),
                        text: "whole".into(),
                    };
                    Ok(stream::iter([Ok(line), Err(gone())]).boxed())
                }
                _ => {
                    let (held, dropped) = oneshot::channel();
                    self.asked.send(dropped).expect("a test that listens");
                    Ok(stream::unfold(held, |held| async move {
                        let _held: oneshot::Sender<()> = held;
                        std::future::pending().await
                    })
                    .boxed())
                }
            }
        }
    }
}
use watched::Watched;
