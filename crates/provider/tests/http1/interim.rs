//! Interim responses, `Expect: 100-continue`, and switching protocols.

use std::time::Duration;

use http::Method;
use provider::http1::{Config, Upgraded};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::*;

#[tokio::test]
async fn skips_interim_responses() {
    let wire = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n\
                HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let client = client(answering(wire).await);
    for _ in 0..3 {
        let (response, body) = client.fetch(get()).await;
        assert_eq!((response.status().as_u16(), body.as_slice()), (200, b"ok".as_slice()));
        assert!(!response.headers().contains_key("link"));
    }
    assert_eq!(client.dials(), 1);
}

fn expecting(body: &'static str) -> http::Request<provider::body::Body> {
    let mut request = request(Method::POST, body);
    request.headers_mut().insert("expect", "100-continue".parse().unwrap());
    request
}

fn patient() -> Config {
    Config { continue_timeout: Duration::from_secs(3600), ..Config::default() }
}

#[tokio::test]
async fn sends_the_body_when_it_is_told_to_continue() {
    let address = serve(|_, mut stream| async move {
        assert!(read_head(&mut stream).await.unwrap().contains("expect: 100-continue\r\n"));
        let mut early = [0];
        assert!(stream.try_read(&mut early).is_err(), "the body came unasked");
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.unwrap();
        assert_eq!(read_text(&mut stream, 5).await, "hello");
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
        let _ = stream.read_u8().await;
    })
    .await;
    let client = Counted::new(address, patient());
    assert_eq!(client.fetch(expecting("hello")).await.1, b"ok");
    assert_eq!(client.client.idle(), 1);
}

#[tokio::test]
async fn keeps_the_body_when_it_is_not_wanted() {
    let address = answering("HTTP/1.1 417 Expectation Failed\r\ncontent-length: 2\r\n\r\nno").await;
    let client = Counted::new(address, patient());
    let (response, body) = client.fetch(expecting("hello")).await;
    assert_eq!((response.status().as_u16(), body.as_slice()), (417, b"no".as_slice()));
    assert_eq!(client.client.idle(), 0, "the server may still wait for the body");
}

#[tokio::test]
async fn waits_for_continue_only_so_long() {
    let address = serve(|_, mut stream| async move {
        read_head(&mut stream).await.unwrap();
        assert_eq!(read_text(&mut stream, 5).await, "hello");
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
    })
    .await;
    let config = Config { continue_timeout: Duration::from_millis(20), ..Config::default() };
    assert_eq!(Counted::new(address, config).fetch(expecting("hello")).await.1, b"ok");
}

#[tokio::test]
async fn gives_the_stream_when_protocols_are_switched() {
    let address = serve(|_, mut stream| async move {
        read_head(&mut stream).await.unwrap();
        let wire = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\nwelcome";
        stream.write_all(wire.as_bytes()).await.unwrap();
        let (mut read, mut write) = stream.split();
        tokio::io::copy(&mut read, &mut write).await.unwrap();
    })
    .await;
    let client = client(address);
    let mut request = get();
    request.headers_mut().insert("connection", "upgrade".parse().unwrap());
    request.headers_mut().insert("upgrade", "echo".parse().unwrap());
    let response = within(client.client.send(request)).await.unwrap();
    assert_eq!(response.status(), 101);
    assert_eq!(response.headers()["upgrade"], "echo");
    let upgraded = response.extensions().get::<Upgraded>().unwrap();
    let mut stream = upgraded.take().unwrap();
    assert!(upgraded.take().is_none());
    stream.write_all(b", friend").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut text = String::new();
    within(stream.read_to_string(&mut text)).await.unwrap();
    assert_eq!(text, "welcome, friend");
    assert_eq!(client.client.idle(), 0);
}
