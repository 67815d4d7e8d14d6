//! The client where it works: between a hyper server and an upstream.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use provider::body::Body;
use provider::http1::Client;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::support::*;

/// A hyper server that sends everything on by `client`.
async fn front(client: Arc<Client>) -> SocketAddr {
    serve(move |_, stream| {
        let client = client.clone();
        async move {
            let service = service_fn(|request: hyper::Request<Incoming>| async {
                // The request that an error may hold is not Sync, as hyper wants its errors.
                client.send(request.map(Body::from)).await.map_err(|error| error.to_string())
            });
            let server = hyper::server::conn::http1::Builder::new();
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        }
    })
    .await
}

async fn echo() -> SocketAddr {
    serve(|_, stream| async move {
        let service = service_fn(|request: hyper::Request<Incoming>| async move {
            Ok::<_, hyper::Error>(Response::new(request.into_body()))
        });
        let _ =
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_of_every_size_pass_both_ways() {
    let back = client(echo().await);
    let caller = client(front(back.client.clone()).await);
    for size in [0, 1, 100, 8 * 1024, 64 * 1024, 1024 * 1024 + 1, 16 * 1024 * 1024] {
        let whole: Vec<u8> = (0..size).map(|n| (n % 251) as u8).collect();
        let pieces: Vec<_> = whole
            .chunks(10_000)
            .map(|p| Ok::<_, std::io::Error>(Frame::data(Bytes::copy_from_slice(p))))
            .collect();
        let streamed = Body::boxed(StreamBody::new(futures_util::stream::iter(pieces)));
        for body in [whole.clone().into(), streamed] {
            let (response, answer) = caller.fetch(request(Method::POST, body)).await;
            assert_eq!(response.status(), 200);
            assert_eq!(answer.len(), size);
            assert!(answer == whole, "{size} bytes came back changed");
        }
    }
    assert_eq!((caller.dials(), back.dials()), (1, 1));
}

#[tokio::test]
async fn a_small_request_reaches_the_upstream_in_one_piece() {
    let address = serve(|_, mut stream| async move {
        let mut bytes = vec![0; 4096];
        loop {
            // One read must bring the head and the body: whoever answers from one read need not wait for a second.
            let read = stream.read(&mut bytes).await.unwrap();
            if read == 0 {
                return;
            }
            let whole = bytes[..read].ends_with(b"\r\n\r\nhello");
            let status = if whole { "200 OK" } else { "500 In Pieces" };
            let wire = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(wire.as_bytes()).await.unwrap();
        }
    })
    .await;
    let back = client(address);
    let caller = client(front(back.client.clone()).await);
    for _ in 0..20 {
        assert_eq!(caller.fetch(request(Method::POST, "hello")).await.0.status(), 200);
    }
    assert_eq!(back.dials(), 1);
}

#[tokio::test]
async fn a_caller_that_leaves_ends_the_upstreams_connection() {
    for begun in ["", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"] {
        let (reached, ended) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (reach, end) = (reached.clone(), ended.clone());
        let address = serve(move |_, mut stream| {
            let (reach, end) = (reach.clone(), end.clone());
            async move {
                read_head(&mut stream).await.unwrap();
                stream.write_all(begun.as_bytes()).await.unwrap();
                reach.notify_one();
                assert!(stream.read_u8().await.is_err());
                end.notify_one();
            }
        })
        .await;
        let back = client(address);
        let mut caller = TcpStream::connect(front(back.client.clone()).await).await.unwrap();
        caller.write_all(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n").await.unwrap();
        within(reached.notified()).await;
        drop(caller);
        within(ended.notified()).await;
        assert_eq!(back.client.idle(), 0);
    }
}

#[tokio::test]
async fn an_upstream_that_breaks_off_breaks_the_answer_off() {
    for wire in [
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ] {
        let arrived = Arc::new(Notify::new());
        let arrival = arrived.clone();
        let address = serve(move |_, mut stream| {
            let arrival = arrival.clone();
            async move {
                read_head(&mut stream).await.unwrap();
                stream.write_all(wire.as_bytes()).await.unwrap();
                arrival.notified().await;
            }
        })
        .await;
        let back = client(address);
        let caller = client(front(back.client.clone()).await);
        let mut answer = within(caller.client.send(get())).await.unwrap().into_body();
        assert_eq!(within(answer.frame()).await.unwrap().unwrap().into_data().unwrap(), "hello");
        arrived.notify_one();
        let error = within(answer.frame()).await.unwrap().unwrap_err();
        assert!(words(&*error).contains("closed the connection within"), "{}", words(&*error));
    }
}
