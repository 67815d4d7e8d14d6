//! The access log: a line for each request, whatever becomes of it, and no call that waits for its reader.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use gateway::{AccessFormat, AccessLog, Collectors, Config, Observers};
use provider::Provider;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::{PATIENCE, Served, echoing, in_time, read_until, running};

/// Where lines go, and a door that its writer must pass.
#[derive(Clone, Default)]
struct Sink(Arc<(Mutex<Taken>, Condvar)>);

/// What was written, and whether no more is taken.
type Taken = (Vec<u8>, bool);

impl Sink {
    fn shut(&self, shut: bool) {
        self.0.0.lock().expect("whole").1 = shut;
        self.0.1.notify_all();
    }

    fn lines(&self) -> Vec<Value> {
        let text = String::from_utf8(self.0.0.lock().expect("whole").0.clone()).expect("as it should be");
        text.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let open = self.0.1.wait_while(self.0.0.lock().expect("whole"), |(_, shut)| *shut);
        open.expect("whole").0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

async fn logged(provider: Arc<dyn Provider>) -> (Served, AccessLog, Sink) {
    let sink = Sink::default();
    let log = AccessLog::start(AccessFormat::Json, sink.clone()).expect("a thread");
    let config = Config {
        observers: Observers { access_log: Some(log.clone()), tracer: None },
        collectors: Collectors(vec![Arc::new(log.clone())]),
        ..Config::default()
    };
    (Served::start(provider, config).await, log, sink)
}

fn fields<'a>(line: &'a Value, names: &[&str]) -> Vec<&'a Value> {
    names.iter().map(|name| &line[*name]).collect()
}

#[tokio::test]
async fn each_request_has_its_line() {
    let (served, log, sink) = logged(echoing(&["a"]).await).await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    for request in [
        format!(
            "POST /function/a/b?token=s3cret HTTP/1.1\r\nhost: g\r\nuser-agent: t/1\r\nx-call-id: one\r\n\
             traceparent: {trace}\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello"
        ),
        "GET /function/nobody HTTP/1.0\r\n\r\n".to_owned(),
        "GET /system/functions HTTP/1.1\r\nhost: g\r\nconnection: close\r\n\r\n".to_owned(),
        "HEAD /function/a HTTP/1.1\r\nhost: g\r\nconnection: close\r\n\r\n".to_owned(),
    ] {
        served.raw(request).await;
    }
    served.stop().await;
    log.flush(PATIENCE);
    let lines = sink.lines();
    assert_eq!(lines.len(), 4, "{lines:#?}");
    let names = ["method", "path", "status", "function", "namespace", "bytes_in", "complete", "protocol"];
    let shown =
        |line: usize| Value::from(fields(&lines[line], &names).into_iter().cloned().collect::<Vec<_>>());
    let json = |text: &str| serde_json::from_str::<Value>(text).expect("as it should be");
    assert_eq!(shown(0), json(r#"["POST","/function/a/b",200,"a","openfaas-fn",5,true,"HTTP/1.1"]"#));
    assert_eq!(shown(1), json(r#"["GET","/function/nobody",404,"nobody",null,null,true,"HTTP/1.0"]"#));
    assert_eq!(shown(2), json(r#"["GET","/system/functions",200,null,null,null,true,"HTTP/1.1"]"#));
    assert_eq!(shown(3), json(r#"["HEAD","/function/a",200,"a","openfaas-fn",null,true,"HTTP/1.1"]"#));
    let first = &lines[0];
    assert_eq!(first["call_id"], "one");
    assert_eq!(first["user_agent"], "t/1");
    assert_eq!(first["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert!(first["bytes_out"].as_u64() > Some(0) && first["duration_ms"].as_f64() > Some(0.0), "{first}");
    assert!(first["peer"].as_str().expect("as it should be").starts_with("127.0.0.1:"), "{first}");
    assert!(!first.to_string().contains("s3cret"));
}

/// The call id in the line is the one that the caller is told.
#[tokio::test]
async fn a_new_call_id_is_in_the_line() {
    let (served, log, sink) = logged(echoing(&["a"]).await).await;
    let answer = served.raw("GET /function/a HTTP/1.1\r\nhost: g\r\nconnection: close\r\n\r\n").await;
    served.stop().await;
    log.flush(PATIENCE);
    let told = answer.lines().find_map(|line| line.strip_prefix("x-call-id: ")).expect("a call id");
    assert_eq!(sink.lines()[0]["call_id"], told);
}

#[tokio::test]
async fn clients_that_leave_are_told_of() {
    let asked = Arc::new(tokio::sync::Notify::new());
    let script = Arc::clone(&asked);
    let memory = running(&["a"], move |call| {
        let asked = Arc::clone(&script);
        Box::pin(async move {
            if call.request.uri().path() == "/never" {
                asked.notify_one();
                std::future::pending::<()>().await;
            }
            let endless = futures_util::stream::unfold((), |()| async {
                tokio::task::yield_now().await;
                let frame = http_body::Frame::data(bytes::Bytes::from_static(b"and on "));
                Some((Ok::<_, std::io::Error>(frame), ()))
            });
            Ok(http::Response::new(provider::Body::boxed(http_body_util::StreamBody::new(endless))))
        })
    })
    .await;
    let (served, log, sink) = logged(memory).await;
    let request = |path: &str| format!("GET /function/a{path} HTTP/1.1\r\nhost: g\r\n\r\n");
    let mut never = TcpStream::connect(served.api).await.expect("as it should be");
    never.write_all(request("/never").as_bytes()).await.expect("as it should be");
    in_time(asked.notified()).await;
    drop(never);
    let mut endless = TcpStream::connect(served.api).await.expect("as it should be");
    endless.write_all(request("/endless").as_bytes()).await.expect("as it should be");
    read_until(&mut endless, "on \r\n").await;
    drop(endless);
    served.stop().await;
    log.flush(PATIENCE);
    let mut lines = sink.lines();
    lines.sort_by_key(|line| line["status"].as_u64());
    let shown: Vec<_> = lines.iter().map(|line| fields(line, &["path", "status", "complete"])).collect();
    let shown = serde_json::to_string(&shown).expect("as it should be");
    assert_eq!(shown, r#"[["/function/a/endless",200,false],["/function/a/never",499,false]]"#);
    assert!(lines[0]["bytes_out"].as_u64() > Some(0));
}

/// A reader that takes nothing costs lines, never a call.
#[tokio::test]
async fn a_reader_that_is_stuck_holds_up_no_call() {
    const CALLS: usize = 10_000;
    let (served, log, sink) = logged(echoing(&["a"]).await).await;
    sink.shut(true);
    let mut stream = TcpStream::connect(served.api).await.expect("as it should be");
    for batch in 0..100 {
        let last = batch == 99;
        let request = "GET /function/a HTTP/1.1\r\nhost: g\r\n\r\n".repeat(CALLS / 100);
        stream.write_all(request.as_bytes()).await.expect("as it should be");
        let mut answers = 0;
        while answers < CALLS / 100 {
            answers += read_until(&mut stream, "\r\n\r\n").await.matches("HTTP/1.1 200").count();
        }
        assert!(answers == CALLS / 100 || last);
    }
    drop(stream);
    let page = served.page().await;
    let count = |name: &str| -> usize {
        let value =
            page.lines().find_map(|line| line.strip_prefix(&format!("minke_access_log_{name}_total ")));
        value.expect("a sample").parse().expect("a number")
    };
    assert!(count("dropped") > 0, "{page}");
    log.flush(Duration::from_millis(1));
    sink.shut(false);
    served.stop().await;
    log.flush(PATIENCE);
    assert!(sink.lines().len() < CALLS && sink.lines().len() > 1000, "{}", sink.lines().len());
}
