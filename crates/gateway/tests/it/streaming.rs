//! Bodies: both ways at once, with their lengths, and cut when a side goes away.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use gateway::Config;
use http::Response;
use http_body_util::{BodyExt, StreamBody};
use provider::Body;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::support::{PATIENCE, Served, in_time, read_until, running};

#[tokio::test]
async fn each_chunk_comes_back_before_the_next_is_sent() {
    // The function answers at once, and each chunk as it comes.
    let memory =
        running(&["loop"], |call| Box::pin(async move { Ok(Response::new(call.request.into_body())) })).await;
    let served = Served::start(memory, Config::default()).await;
    let mut stream = TcpStream::connect(served.api).await.expect("connect");
    let head = "POST /function/loop HTTP/1.1\r\nhost: g\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.expect("write");
    for n in 0..20 {
        stream.write_all(format!("7\r\nchunk{n:02}\r\n").as_bytes()).await.expect("write");
        let echoed = read_until(&mut stream, &format!("7\r\nchunk{n:02}\r\n")).await;
        assert_eq!(n == 0, echoed.contains("transfer-encoding: chunked"), "{echoed}");
    }
    stream.write_all(b"0\r\n\r\n").await.expect("write");
    read_until(&mut stream, "0\r\n\r\n").await;
    // The connection serves the next call.
    stream
        .write_all(b"POST /function/loop HTTP/1.1\r\nhost: g\r\ncontent-length: 3\r\n\r\nend")
        .await
        .expect("write");
    let next = read_until(&mut stream, "end").await;
    assert!(next.contains("content-length: 3\r\n"), "{next}");
    drop(stream);
    served.stop().await;
}

#[tokio::test]
async fn lengths_stay_what_they_were() {
    let served = Served::start(crate::support::echoing(&["env"]).await, Config::default()).await;
    for (request, response) in [
        ("content-length: 0\r\n\r\n", "content-length: 0"),
        ("content-length: 5\r\n\r\nhello", "content-length: 5"),
        ("transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "transfer-encoding: chunked"),
    ] {
        let head = "POST /function/env HTTP/1.1\r\nhost: g\r\nconnection: close\r\n";
        let answer = served.raw(format!("{head}{request}")).await;
        assert!(answer.contains(&format!("\r\n{response}\r\n")), "{answer}");
        let length = request.starts_with("content-length").then(|| format!("x-echo-header: {response}\r\n"));
        assert!(length.is_none_or(|length| answer.contains(&length)), "{answer}");
    }
    served.stop().await;
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_call() {
    let (begun, mut begins) = mpsc::unbounded_channel();
    let (ended, mut ends) = mpsc::unbounded_channel();
    struct Ends(mpsc::UnboundedSender<()>);
    impl Drop for Ends {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }
    let memory = running(&["slow"], move |_| {
        let (begun, ends) = (begun.clone(), Ends(ended.clone()));
        Box::pin(async move {
            let _ends = ends;
            let _ = begun.send(());
            std::future::pending().await
        })
    })
    .await;
    let served = Served::start(memory, Config::default()).await;
    let mut stream = TcpStream::connect(served.api).await.expect("connect");
    stream.write_all(b"GET /function/slow HTTP/1.1\r\nhost: g\r\n\r\n").await.expect("write");
    in_time(begins.recv()).await.expect("the function is called");
    drop(stream);
    in_time(ends.recv()).await.expect("the call ends with its client");
    loop {
        let page = served.page().await;
        if page
            .contains("gateway_function_invocation_total{function_name=\"slow.openfaas-fn\",code=\"499\"} 1")
        {
            break;
        }
        tokio::task::yield_now().await;
    }
    served.stop().await;
}

#[tokio::test]
async fn a_silent_answer_is_cut_off_and_a_missing_one_is_504() {
    let config = Config { upstream_timeout: Duration::from_millis(80), ..Config::default() };
    let memory = running(&["silent"], |call| {
        Box::pin(async move {
            if call.request.uri().path() == "/never" {
                return std::future::pending().await;
            }
            let first = futures_util::stream::once(async {
                Ok::<_, provider::BoxError>(http_body::Frame::data(Bytes::from_static(b"first")))
            });
            let body =
                StreamBody::new(futures_util::StreamExt::chain(first, futures_util::stream::pending()));
            Ok(Response::new(Body::boxed(BodyExt::boxed_unsync(body))))
        })
    })
    .await;
    let served = Served::start(memory, config).await;
    let call =
        |path: &str| format!("GET /function/silent{path} HTTP/1.1\r\nhost: g\r\nconnection: close\r\n\r\n");
    let cut = served.raw(call("/")).await;
    assert!(
        cut.starts_with("HTTP/1.1 200 ") && cut.ends_with("5\r\nfirst\r\n"),
        "without the last chunk: {cut}"
    );
    let never = served.golden(&call("/never")).await;
    assert!(
        never.starts_with("HTTP/1.1 504 ") && never.contains("\nx-openfaas-internal: proxy\n"),
        "{never}"
    );
    served.stop().await;
}

#[tokio::test]
async fn more_calls_than_the_bound_are_told_to_come_back() {
    let (release, gate) = mpsc::channel::<()>(1);
    let gate = Arc::new(tokio::sync::Mutex::new(gate));
    let held: Arc<Mutex<usize>> = Arc::default();
    let (entered, mut entries) = mpsc::unbounded_channel();
    let counted = Arc::clone(&held);
    let memory = running(&["busy"], move |_| {
        let (gate, entered, counted) = (Arc::clone(&gate), entered.clone(), Arc::clone(&counted));
        Box::pin(async move {
            *counted.lock().expect("count") += 1;
            let _ = entered.send(());
            // The head goes out; the place is held until the body ends.
            let wait = async move {
                gate.lock().await.recv().await;
                Ok::<_, provider::BoxError>(http_body::Frame::data(Bytes::from_static(b"done")))
            };
            let body = StreamBody::new(futures_util::stream::once(Box::pin(wait)));
            Ok(Response::new(Body::boxed(body)))
        })
    })
    .await;
    let served = Served::start(memory, Config { calls_max: 2, ..Config::default() }).await;
    let call = "GET /function/busy HTTP/1.1\r\nhost: g\r\nconnection: close\r\n\r\n";
    let mut streams = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(served.api).await.expect("connect");
        stream.write_all(call.as_bytes()).await.expect("write");
        in_time(entries.recv()).await.expect("a call");
        streams.push(stream);
    }
    let refused = served.golden(call).await;
    assert!(refused.starts_with("HTTP/1.1 429 ") && refused.contains("\nretry-after: 1\n"), "{refused}");
    // Management goes on.
    let list = served.raw("GET /system/functions HTTP/1.1\r\nhost: g\r\nconnection: close\r\n\r\n").await;
    assert!(list.starts_with("HTTP/1.1 200 "), "{list}");
    drop(release);
    for stream in &mut streams {
        read_until(stream, "done\r\n0\r\n\r\n").await;
    }
    tokio::time::timeout(PATIENCE, async {
        while !served.raw(call).await.starts_with("HTTP/1.1 200 ") {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("places come back");
    served.stop().await;
}
