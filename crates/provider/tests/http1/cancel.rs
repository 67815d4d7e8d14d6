//! Dropping is cancelling: the server sees its connection end.

use std::sync::Arc;

use http::Method;
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use crate::support::*;

/// A server that begins an answer with `wire` and tells when it began and when its connection ended.
async fn beginning(wire: &'static str) -> (std::net::SocketAddr, mpsc::Receiver<&'static str>) {
    let (tell, told) = mpsc::channel(16);
    let address = serve(move |_, mut stream| {
        let tell = tell.clone();
        async move {
            read_head(&mut stream).await.unwrap();
            stream.write_all(wire.as_bytes()).await.unwrap();
            tell.send("began").await.unwrap();
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
            tell.send("ended").await.unwrap();
        }
    })
    .await;
    (address, told)
}

#[tokio::test]
async fn dropping_the_call_closes_the_connection() {
    let (address, mut told) = beginning("").await;
    let client = Arc::new(client(address));
    let call = tokio::spawn({
        let client = client.clone();
        async move { client.client.send(get()).await.map(drop) }
    });
    assert_eq!(within(told.recv()).await, Some("began"));
    call.abort();
    assert_eq!(within(told.recv()).await, Some("ended"));
    assert_eq!(client.client.idle(), 0);
}

#[tokio::test]
async fn dropping_the_answer_closes_the_connection() {
    let unread = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n";
    for wire in [unread, "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello", "HTTP/1.1 200 OK\r\n\r\nhello"]
    {
        for frames in [0, 1] {
            let (address, mut told) = beginning(wire).await;
            let client = client(address);
            let mut body = within(client.client.send(get())).await.unwrap().into_body();
            for _ in 0..frames {
                assert_eq!(within(body.frame()).await.unwrap().unwrap().into_data().unwrap(), "hello");
            }
            drop(body);
            assert_eq!(within(told.recv()).await, Some("began"));
            assert_eq!(within(told.recv()).await, Some("ended"));
            assert_eq!(client.client.idle(), 0);
        }
    }
}

#[tokio::test]
async fn dropping_the_answer_lets_go_of_the_request() {
    let (address, mut told) = beginning("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
    let client = client(address);
    let (feed, body) = fed();
    let response = within(client.client.send(request(Method::POST, body))).await.unwrap();
    drop(response);
    within(feed.closed()).await;
    assert_eq!(within(told.recv()).await, Some("began"));
    assert_eq!(within(told.recv()).await, Some("ended"));
}
