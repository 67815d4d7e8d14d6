//! Shutdown: no new connections, calls under way end well, and the deadline holds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use gateway::Config;
use http::Response;
use http_body_util::StreamBody;
use provider::{Body, Memory};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};

use crate::support::{PATIENCE, Served, in_time, read_until, running};

/// A function that sends its head at once and its body when it is let.
async fn gated() -> (Arc<Memory>, Arc<Semaphore>, mpsc::UnboundedReceiver<()>) {
    let gate = Arc::new(Semaphore::new(0));
    let (begun, begins) = mpsc::unbounded_channel();
    let held = Arc::clone(&gate);
    let memory = running(&["gated"], move |_| {
        let (gate, begun) = (Arc::clone(&held), begun.clone());
        Box::pin(async move {
            let _ = begun.send(());
            let wait = async move {
                gate.acquire().await.expect("never closed").forget();
                Ok::<_, provider::BoxError>(http_body::Frame::data(Bytes::from_static(b"done")))
            };
            Ok(Response::new(Body::boxed(StreamBody::new(futures_util::stream::once(Box::pin(wait))))))
        })
    })
    .await;
    (memory, gate, begins)
}

async fn refused(served: &Served) {
    let reached = async { while TcpStream::connect(served.api).await.is_ok() {} };
    in_time(reached).await;
}

#[tokio::test]
async fn a_call_under_way_ends_and_new_ones_are_refused() {
    let (memory, gate, mut begins) = gated().await;
    let mut served = Served::start(memory, Config::default()).await;
    let mut idle = TcpStream::connect(served.api).await.expect("connect");
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: g\r\n\r\n").await.expect("write");
    read_until(&mut idle, "\r\n\r\n").await;
    let mut busy = TcpStream::connect(served.api).await.expect("connect");
    busy.write_all(b"GET /function/gated HTTP/1.1\r\nhost: g\r\n\r\n").await.expect("write");
    in_time(begins.recv()).await.expect("the call begins");

    served.begin_stop();
    refused(&served).await;
    let mut rest = Vec::new();
    assert_eq!(in_time(idle.read_to_end(&mut rest)).await.expect("closed"), 0, "idle connections are closed");
    assert!(served.page().await.contains("gateway_service_count"), "metrics are served while it drains");
    gate.add_permits(1);
    let answer = read_until(&mut busy, "4\r\ndone\r\n0\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    served.stop().await;
}

#[tokio::test]
async fn the_deadline_cuts_what_does_not_end() {
    let (memory, _gate, mut begins) = gated().await;
    let mut served = Served::start_draining(memory, Config::default(), Duration::from_millis(50)).await;
    let mut stream = TcpStream::connect(served.api).await.expect("connect");
    stream.write_all(b"GET /function/gated HTTP/1.1\r\nhost: g\r\n\r\n").await.expect("write");
    in_time(begins.recv()).await.expect("the call begins");
    let begun = Instant::now();
    served.begin_stop();
    let mut answer = Vec::new();
    let _ = in_time(stream.read_to_end(&mut answer)).await;
    assert!(!String::from_utf8_lossy(&answer).ends_with("0\r\n\r\n"), "it is seen to be cut");
    served.stop().await;
    assert!(begun.elapsed() < PATIENCE / 2);
}
