//! Clients that take their time, or do nothing at all: let go when their time is over, and in nobody's way until then.

use std::time::Duration;

use gateway::Config;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::support::{Served, echoing, in_time};

const SHORT: Duration = Duration::from_millis(300);

/// Sends `pieces`, one after another with a pause, again and again, until the server has closed.
async fn dribble(served: &Served, first: &[u8], again: &[u8]) -> Vec<u8> {
    let stream = TcpStream::connect(served.api).await.expect("connect");
    let (mut reads, mut writes) = stream.into_split();
    let sends = async {
        let mut sent = writes.write_all(first).await;
        while sent.is_ok() && !again.is_empty() {
            tokio::time::sleep(SHORT / 10).await;
            sent = writes.write_all(again).await;
        }
        std::future::pending::<()>().await
    };
    let mut answer = Vec::new();
    let closed = async { drop(reads.read_to_end(&mut answer).await) };
    in_time(async {
        tokio::select! {
            () = sends => {}
            () = closed => {}
        }
    })
    .await;
    answer
}

#[tokio::test]
async fn a_head_has_its_time_however_it_comes() {
    let config = Config { read_timeout: SHORT, ..Config::default() };
    let served = Served::start(echoing(&["env"]).await, config).await;
    let check = async |first: &str, again: &str| {
        let answer = dribble(&served, first.as_bytes(), again.as_bytes()).await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{first:?} {again:?}: {answer}");
    };
    check("", "").await;
    check("", "G").await;
    check("POST /function/env HTTP/1.1\r\n", "").await;
    check("POST /function/env HTTP/1.1\r\n", "a: b\r\n").await;
    check("POST /function/env HTTP/1.1\r\nhost: g\r\nx: ", "x").await;
    check("PRI * HTTP/2.0\r\n", "").await;
    served.stop().await;
}

#[tokio::test]
async fn the_time_between_two_requests_is_bounded_too() {
    let config = Config { read_timeout: SHORT, ..Config::default() };
    let served = Served::start(echoing(&["env"]).await, config).await;
    let request = b"POST /function/env HTTP/1.1\r\nhost: g\r\ncontent-length: 1\r\n\r\nx";
    let answer = dribble(&served, request, b"").await;
    assert_eq!(String::from_utf8_lossy(&answer).matches("HTTP/1.1 200 ").count(), 1);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn five_thousand_that_do_nothing_hinder_nobody() {
    const IDLE: usize = 5_000;
    let config = Config { read_timeout: Duration::from_secs(5), ..Config::default() };
    let served = Served::start(echoing(&["env"]).await, config).await;
    let mut idle = JoinSet::new();
    for _ in 0..IDLE {
        let address = served.api;
        // Few at once: it is not the backlog that is tried here.
        if idle.len() % 64 == 0 {
            tokio::task::yield_now().await;
        }
        let mut stream = TcpStream::connect(address).await.expect("connect");
        idle.spawn(async move { stream.read(&mut [0; 1]).await.unwrap_or(0) });
    }
    let call = b"POST /function/env HTTP/1.1\r\nhost: g\r\nconnection: close\r\ncontent-length: 1\r\n\r\nx";
    for _ in 0..200 {
        assert!(served.raw(call).await.starts_with("HTTP/1.1 200 "));
    }
    let read = in_time(idle.join_all()).await;
    assert!(read.iter().all(|read| *read == 0), "who said nothing is told nothing");
    served.stop().await;
}
