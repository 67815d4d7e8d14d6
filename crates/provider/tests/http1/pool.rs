//! Reuse of connections, and its bounds.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Response};
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use provider::http1::Config;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Barrier, Notify};
use tokio::task::JoinSet;

use crate::support::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_callers_share_sixty_four_connections() {
    let address = serve(|_, stream| async move {
        let service = service_fn(|request: hyper::Request<hyper::body::Incoming>| async move {
            let path = request.uri().path().to_owned();
            let body = request.into_body().collect().await?.to_bytes();
            Ok::<_, hyper::Error>(Response::new(Full::new(Bytes::from([path.as_bytes(), &body].concat()))))
        });
        let _ =
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    })
    .await;
    let client = Arc::new(client(address));
    let start = Arc::new(Barrier::new(64));
    let mut callers = JoinSet::new();
    for caller in 0..64 {
        let (client, start) = (client.clone(), start.clone());
        callers.spawn(async move {
            start.wait().await;
            for call in 0..50 {
                let body = vec![b'x'; caller * call];
                let mut request = request(Method::POST, body.clone());
                *request.uri_mut() = format!("/{caller}/{call}").parse().unwrap();
                let (response, answer) = client.fetch(request).await;
                assert_eq!(response.status(), 200);
                assert_eq!(answer, [format!("/{caller}/{call}").as_bytes(), &body].concat());
            }
        });
    }
    callers.join_all().await;
    assert!(client.dials() <= 64, "{} connections", client.dials());
    assert_eq!(client.client.idle(), client.dials());
}

#[tokio::test]
async fn keeps_no_more_than_it_may() {
    let address = answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    let client = Counted::new(address, Config { idle_max: 2, ..Config::default() });
    let fetches: Vec<_> = (0..5).map(|_| client.fetch(get())).collect();
    futures_util::future::join_all(fetches).await;
    assert_eq!(client.dials(), 5);
    assert_eq!(client.client.idle(), 2);
    client.client.close_idle();
    assert_eq!(client.client.idle(), 0);
}

#[tokio::test]
async fn closes_what_is_idle_too_long() {
    let ended = Arc::new(Notify::new());
    let end = ended.clone();
    let address = serve(move |_, mut stream| {
        let end = end.clone();
        async move {
            while read_head(&mut stream).await.is_some() {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
            }
            end.notify_one();
        }
    })
    .await;
    let config = Config { idle_timeout: Duration::from_millis(20), ..Config::default() };
    let client = Counted::new(address, config);
    for _ in 0..2 {
        client.fetch(get()).await;
        // With no call to notice it.
        within(ended.notified()).await;
        assert_eq!(client.client.idle(), 0);
    }
    assert_eq!(client.dials(), 2);
}

#[tokio::test]
async fn a_client_that_is_gone_keeps_nothing() {
    let ended = Arc::new(Notify::new());
    let end = ended.clone();
    let address = serve(move |_, mut stream| {
        let end = end.clone();
        async move {
            read_head(&mut stream).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await.unwrap();
            stream.write_all(b"2\r\nok\r\n0\r\n\r\n").await.unwrap();
            assert!(stream.read_u8().await.is_err());
            end.notify_one();
        }
    })
    .await;
    let client = client(address);
    let response = within(client.client.send(get())).await.unwrap();
    drop(client);
    assert_eq!(read(response.into_body()).await.unwrap().0, b"ok");
    within(ended.notified()).await;
}

#[tokio::test]
async fn does_not_reuse_what_the_server_closed_or_wrote_into() {
    for unasked in ["", "HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n"] {
        let idle = Arc::new(Notify::new());
        let done = Arc::new(Notify::new());
        let served = Arc::new(AtomicUsize::new(0));
        let (server_idle, server_done, server_served) = (idle.clone(), done.clone(), served.clone());
        let address = serve(move |_, mut stream| {
            let (idle, done, served) = (server_idle.clone(), server_done.clone(), server_served.clone());
            async move {
                read_head(&mut stream).await.unwrap();
                served.fetch_add(1, Ordering::SeqCst);
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
                idle.notified().await;
                stream.write_all(unasked.as_bytes()).await.unwrap();
                stream.shutdown().await.unwrap();
                done.notify_one();
                let _ = stream.read_u8().await;
            }
        })
        .await;
        let client = client(address);
        client.fetch(request(Method::POST, "hello")).await;
        assert_eq!(client.client.idle(), 1);
        idle.notify_one();
        within(done.notified()).await;
        // Long enough that the kernel itself is asked: a POST must not depend on what the runtime has heard.
        std::thread::sleep(Duration::from_millis(60));
        client.fetch(request(Method::POST, "hello")).await;
        assert_eq!((client.dials(), served.load(Ordering::SeqCst)), (2, 2), "{unasked:?}");
    }
}
