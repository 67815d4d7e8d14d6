//! A client's connection: its end by idleness, by shutdown, and by a client that takes nothing.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gateway::Config;
use h2::client;
use http::Response;
use http_body::Frame;
use http_body_util::StreamBody;
use provider::Body;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};

use super::support::{begin, call, connect, connect_as, post, whole};
use crate::support::{PATIENCE, Served, echoing, in_time, running};

const SHORT: Duration = Duration::from_millis(100);

#[tokio::test]
async fn idle_ones_are_told_goodbye() {
    let config = Config { read_timeout: SHORT, ..Config::default() };
    let served = Served::start(echoing(&["env"]).await, config).await;
    let (client, ended) = connect(served.api).await;
    call(&client, post("/function/env"), "x").await.expect("an answer");
    assert!(in_time(ended).await.expect("no panic").is_ok(), "it ends without an error");
    served.stop().await;
}

#[tokio::test]
async fn those_who_say_nothing_or_half_are_closed() {
    let config = Config { read_timeout: SHORT, write_timeout: SHORT, ..Config::default() };
    let served = Served::start(echoing(&["env"]).await, config).await;
    for said in ["", "P", "PRI * HTTP/2.0\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut stream = TcpStream::connect(served.api).await.expect("connect");
        stream.write_all(said.as_bytes()).await.expect("write");
        let mut rest = Vec::new();
        let _ = in_time(stream.read_to_end(&mut rest)).await;
    }
    served.stop().await;
}

#[tokio::test]
async fn a_preface_in_pieces_is_one() {
    let served = Served::start(echoing(&["env"]).await, Config::default()).await;
    let mut stream = TcpStream::connect(served.api).await.expect("connect");
    stream.set_nodelay(true).expect("an option");
    for piece in ["PRI * HTTP/2.0\r\n", "\r\nSM\r\n", "\r\n"] {
        stream.write_all(piece.as_bytes()).await.expect("write");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.expect("settings");
    let mut head = [0; 9];
    in_time(stream.read_exact(&mut head)).await.expect("a frame");
    assert_eq!(head[3], 4, "settings");
    drop(stream);
    served.stop().await;
}

/// The function's body, when it is let.
async fn gated() -> (Arc<provider::Memory>, Arc<Semaphore>, mpsc::UnboundedReceiver<()>) {
    let gate = Arc::new(Semaphore::new(0));
    let (begun, begins) = mpsc::unbounded_channel();
    let held = Arc::clone(&gate);
    let memory = running(&["gated"], move |_| {
        let (gate, begun) = (Arc::clone(&held), begun.clone());
        Box::pin(async move {
            let _ = begun.send(());
            let wait = async move {
                gate.acquire().await.expect("never closed").forget();
                Ok::<_, provider::BoxError>(Frame::data(Bytes::from_static(b"done")))
            };
            Ok(Response::new(Body::boxed(StreamBody::new(futures_util::stream::once(Box::pin(wait))))))
        })
    })
    .await;
    (memory, gate, begins)
}

#[tokio::test]
async fn a_shutdown_ends_idle_ones_and_lets_calls_end() {
    let (memory, gate, mut begins) = gated().await;
    let mut served = Served::start(memory, Config::default()).await;
    let (_idle, idle_ended) = connect(served.api).await;
    let (busy, busy_ended) = connect(served.api).await;
    let (response, mut stream) = begin(&busy, post("/function/gated")).await;
    stream.send_data("x".into(), true).expect("data");
    in_time(begins.recv()).await.expect("it begins");
    served.begin_stop();
    assert!(in_time(idle_ended).await.expect("no panic").is_ok());
    assert!(!busy_ended.is_finished());
    gate.add_permits(1);
    let body = in_time(response).await.expect("an answer").into_body();
    assert_eq!(whole(body).await.expect("a whole answer").0, "done");
    assert!(in_time(busy_ended).await.expect("no panic").is_ok());
    served.stop().await;
}

#[tokio::test]
async fn the_deadline_cuts_what_does_not_end() {
    let (memory, _gate, mut begins) = gated().await;
    let mut served = Served::start_draining(memory, Config::default(), SHORT).await;
    let (client, ended) = connect(served.api).await;
    let (response, mut stream) = begin(&client, post("/function/gated")).await;
    stream.send_data("x".into(), true).expect("data");
    in_time(begins.recv()).await.expect("it begins");
    let body = in_time(response).await.expect("a head").into_body();
    served.begin_stop();
    assert!(whole(body).await.is_err(), "it is seen to be cut");
    let _ = in_time(ended).await;
    served.stop().await;
}

#[tokio::test]
async fn each_stream_is_a_call_among_all_and_places_come_back() {
    let (memory, gate, mut begins) = gated().await;
    let served = Served::start(memory, Config { calls_max: 2, ..Config::default() }).await;
    let (client, _) = connect(served.api).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let (response, mut stream) = begin(&client, post("/function/gated")).await;
        stream.send_data("x".into(), true).expect("data");
        in_time(begins.recv()).await.expect("it begins");
        held.push(response);
    }
    let (head, ..) = call(&client, post("/function/gated"), "x").await.expect("an answer");
    assert_eq!(head.status, 429);
    gate.add_permits(100);
    for response in held {
        whole(in_time(response).await.expect("an answer").into_body()).await.expect("a whole answer");
    }
    in_time(async {
        while call(&client, post("/function/gated"), "x").await.expect("an answer").0.status != 200 {}
    })
    .await;
    served.stop().await;
}

#[tokio::test]
async fn a_client_that_takes_nothing_loses_its_call() {
    // Endless, in frames.
    let memory = running(&["flood"], |_| {
        Box::pin(async {
            let frame = || Ok::<_, provider::BoxError>(Frame::data(Bytes::from_static(&[b'x'; 8192])));
            let frames = futures_util::stream::repeat_with(frame);
            Ok(Response::new(Body::boxed(StreamBody::new(frames))))
        })
    })
    .await;
    let config = Config { write_timeout: SHORT, calls_max: 1, ..Config::default() };
    let served = Served::start(memory, config).await;
    let mut settings = client::Builder::new();
    settings.initial_window_size(1000);
    let (client, _) = connect_as(served.api, &settings).await;
    let (response, mut stream) = begin(&client, post("/function/flood")).await;
    stream.send_data("x".into(), true).expect("data");
    let body = in_time(response).await.expect("a head").into_body();
    // Its place is free although the connection is well.
    let (other, _) = connect(served.api).await;
    tokio::time::timeout(PATIENCE, async {
        loop {
            let (response, mut stream) = begin(&other, post("/function/flood")).await;
            stream.send_data("x".into(), true).expect("data");
            if in_time(response).await.expect("a head").status() == 200 {
                break;
            }
        }
    })
    .await
    .expect("the place comes back");
    drop(body);
    assert_eq!(call(&client, post("/nothing"), "").await.expect("an answer").0.status, 404);
    served.stop().await;
}
