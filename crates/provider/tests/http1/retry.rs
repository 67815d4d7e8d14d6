//! Connections that die: what is sent again, and what comes back to the caller.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use http::Method;
use provider::body::Body;
use provider::http1::{Client, Config, Dial, Dialing, SendError};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use crate::support::*;

/// A server whose first connection answers once and dies under the second request; the others answer.
async fn forgetful() -> SocketAddr {
    serve(|number, mut stream| async move {
        for request in 0.. {
            let Some(head) = read_head(&mut stream).await else { return };
            if number == 0 && request == 1 {
                return;
            }
            let length = head
                .split("content-length: ")
                .nth(1)
                .map_or(0, |rest| rest.lines().next().unwrap().parse().unwrap());
            let body = read_text(&mut stream, length).await;
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    })
    .await
}

#[tokio::test]
async fn sends_an_idempotent_request_again() {
    for (method, body) in
        [(Method::GET, ""), (Method::PUT, "hello"), (Method::DELETE, ""), (Method::OPTIONS, "x")]
    {
        let client = client(forgetful().await);
        client.fetch(get()).await;
        let (response, answer) = client.fetch(request(method.clone(), body)).await;
        assert_eq!(response.status(), 200, "{method}");
        assert_eq!(answer, body.as_bytes(), "{method}");
        assert_eq!(client.dials(), 2, "{method}");
    }
}

#[tokio::test]
async fn sends_no_other_request_again() {
    let (_feed, endless) = fed();
    for (method, body) in
        [(Method::POST, Body::from("hello")), (Method::PATCH, Body::Empty), (Method::POST, endless)]
    {
        let client = client(forgetful().await);
        client.fetch(get()).await;
        let error = within(client.client.send(request(method, body))).await.unwrap_err();
        assert!(matches!(error, SendError::Closed | SendError::Upstream(_)), "{error:?}");
        assert_eq!(client.dials(), 1);
    }
}

#[tokio::test]
async fn sends_nothing_again_on_a_new_connection() {
    let client = client(answering_once("").await);
    let error = within(client.client.send(get())).await.unwrap_err();
    assert!(matches!(error, SendError::Closed), "{error:?}");
    assert_eq!(client.dials(), 1);
}

#[tokio::test]
async fn a_failed_connect_gives_the_request_back() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let refused = listener.local_addr().unwrap();
    drop(listener);
    let error = within(client(refused).client.send(request(Method::POST, "hello"))).await.unwrap_err();
    let SendError::Connect { source, request } = error else { panic!("{error:?}") };
    assert_eq!(source.kind(), ErrorKind::ConnectionRefused);
    let other = client(forgetful().await);
    assert_eq!(other.fetch(*request).await.1, b"hello");
}

#[tokio::test]
async fn connecting_takes_only_so_long() {
    struct Never;
    impl Dial for Never {
        fn dial(&self) -> Dialing<'_> {
            Box::pin(std::future::pending())
        }
    }
    let config = Config { connect_timeout: Duration::from_millis(10), ..Config::default() };
    let client = Client::new(std::sync::Arc::new(Never), config);
    let error = within(client.send(get())).await.unwrap_err();
    let SendError::Connect { source, .. } = error else { panic!("{error:?}") };
    assert_eq!(source.kind(), ErrorKind::TimedOut);
}
