//! Connections that die: what is sent again, and what comes back to the caller.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::mpsc;
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

/// A server in a thread of its own: its first connection answers once, then is reset when it is told to be, and
/// tells when it was. The second one answers and gives what it read.
fn resetting(address: mpsc::Sender<SocketAddr>, reset: mpsc::Receiver<()>, done: mpsc::Sender<()>) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        address.send(listener.local_addr().unwrap()).unwrap();
        let (mut first, _) = listener.accept().await.unwrap();
        read_head(&mut first).await.unwrap();
        first.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        reset.recv().unwrap();
        first.set_zero_linger().unwrap();
        drop(first);
        done.send(()).unwrap();
        let (mut second, _) = listener.accept().await.unwrap();
        read_head(&mut second).await.unwrap();
        let body = read_text(&mut second, "5\r\nfirst\r\n6\r\nsecond\r\n0\r\n\r\n".len()).await;
        second.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
        body
    })
}

/// Even a POST with a streamed body goes again, whole: its connection is dead before a byte was written.
#[tokio::test]
async fn sends_any_request_again_of_which_nothing_was_sent() {
    let (tell_address, address) = mpsc::channel();
    let (reset, resets) = mpsc::channel();
    let (tell_done, done) = mpsc::channel();
    let server = std::thread::spawn(move || resetting(tell_address, resets, tell_done));
    let client = client(address.recv().unwrap());
    client.fetch(get()).await;
    assert_eq!(client.client.idle(), 1);

    let mut words = ["first", "second"].into_iter();
    let frames = futures_util::stream::poll_fn(move |_| {
        let word = words.next();
        if word == Some("first") {
            // The connection is out of the pool by now, and nothing is written before the first frame.
            reset.send(()).unwrap();
            done.recv().unwrap();
        }
        std::task::Poll::Ready(word.map(data))
    });
    let body = Body::boxed(http_body_util::StreamBody::new(frames));
    assert_eq!(client.fetch(request(Method::POST, body)).await.1, b"ok");
    assert_eq!(client.dials(), 2);
    assert_eq!(server.join().unwrap(), "5\r\nfirst\r\n6\r\nsecond\r\n0\r\n\r\n");
}
