//! Bodies in both directions at once.

use bytes::Bytes;
use http::{Method, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use provider::body::Body;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::*;

const MIB: usize = 1024 * 1024;

/// A hyper server that sends back what it gets while it gets it.
async fn echo() -> std::net::SocketAddr {
    serve(|_, stream| async move {
        let service = service_fn(|request: hyper::Request<hyper::body::Incoming>| async move {
            Ok::<_, hyper::Error>(Response::new(request.into_body()))
        });
        let _ =
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    })
    .await
}

/// `count` frames of `size` bytes, each filled with a byte that tells its number.
fn numbered(count: usize, size: usize) -> Body {
    let frames =
        (0..count).map(move |n| Ok::<_, std::io::Error>(Frame::data(Bytes::from(vec![n as u8; size]))));
    Body::boxed(StreamBody::new(futures_util::stream::iter(frames)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_mebibytes_there_and_back() {
    let client = client(echo().await);
    for length in [None, Some(64 * MIB)] {
        let mut request = request(Method::POST, numbered(64, MIB));
        if let Some(length) = length {
            request.headers_mut().insert("content-length", length.into());
        }
        let mut body = within(client.client.send(request)).await.unwrap().into_body();
        let mut at = 0;
        while let Some(frame) = within(body.frame()).await {
            let mut bytes = frame.unwrap().into_data().unwrap();
            while !bytes.is_empty() {
                let piece = bytes.split_to(bytes.len().min(MIB - at % MIB));
                assert!(piece == vec![(at / MIB) as u8; piece.len()], "it differs after {at} bytes");
                at += piece.len();
            }
        }
        assert_eq!(at, 64 * MIB);
        assert_eq!((client.dials(), client.client.idle()), (1, 1), "{length:?}");
    }
}

#[tokio::test]
async fn each_frame_is_answered_before_the_next_is_sent() {
    let client = client(echo().await);
    let (feed, body) = fed();
    let mut answer = within(client.client.send(request(Method::POST, body))).await.unwrap().into_body();
    for word in ["one", "two", "three"] {
        feed.send(data(word)).await.unwrap();
        let frame = within(answer.frame()).await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), word);
    }
    drop(feed);
    assert!(within(answer.frame()).await.is_none());
    assert_eq!(client.client.idle(), 1);
}

#[tokio::test]
async fn an_answer_before_the_end_of_the_request_ends_the_connection() {
    for wire in [
        "HTTP/1.1 413 Content Too Large\r\ncontent-length: 3\r\n\r\nbig",
        "HTTP/1.1 413 Content Too Large\r\ntransfer-encoding: chunked\r\n\r\n3\r\nbig\r\n0\r\n\r\n",
    ] {
        let client = client(answering(wire).await);
        let (feed, body) = fed();
        feed.send(data("a beginning")).await.unwrap();
        let (response, body) = client.fetch(request(Method::POST, body)).await;
        assert_eq!((response.status().as_u16(), body.as_slice()), (413, b"big".as_slice()));
        assert_eq!(client.client.idle(), 0);
        // The rest of the request is let go of.
        within(feed.closed()).await;
    }
}

/// The server refuses, closes, and thereby breaks the sending; its answer is what counts.
#[tokio::test]
async fn an_answer_is_read_though_the_request_cannot_be_sent() {
    let address = serve(|_, mut stream| async move {
        read_head(&mut stream).await.unwrap();
        stream.write_all(b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 3\r\n\r\nbig").await.unwrap();
    })
    .await;
    for _ in 0..20 {
        let client = client(address);
        let (response, body) = client.fetch(request(Method::POST, numbered(64, MIB))).await;
        assert_eq!((response.status().as_u16(), body.as_slice()), (413, b"big".as_slice()));
        assert_eq!(client.client.idle(), 0);
    }
}

#[tokio::test]
async fn a_request_body_that_fails_fails_the_answer() {
    let client = client(echo().await);
    let (feed, body) = fed();
    let mut answer = within(client.client.send(request(Method::POST, body))).await.unwrap().into_body();
    feed.send(data("one")).await.unwrap();
    assert!(within(answer.frame()).await.unwrap().is_ok());
    feed.send(Err("gone".into())).await.unwrap();
    let error = within(answer.frame()).await.unwrap().unwrap_err();
    assert!(words(&*error).ends_with("gone"), "{}", words(&*error));
    assert!(within(answer.frame()).await.is_none());
    assert_eq!(client.client.idle(), 0);
}

/// Nobody reads: the sender must be stopped by the socket's buffers, not by memory.
#[tokio::test]
async fn a_slow_server_slows_the_sender() {
    let (go, gone) = tokio::sync::oneshot::channel::<()>();
    let gone = std::sync::Mutex::new(Some(gone));
    let address = serve(move |_, mut stream| {
        let gone = gone.lock().unwrap().take().unwrap();
        async move {
            read_head(&mut stream).await.unwrap();
            gone.await.unwrap();
            let mut bytes = vec![0; 64 * 1024];
            let mut left = 64 * MIB;
            while left > 0 {
                left -= stream.read(&mut bytes).await.unwrap();
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
        }
    })
    .await;
    let (feed, body) = fed();
    let mut request = request(Method::POST, body);
    request.headers_mut().insert("content-length", (64 * MIB).into());
    let client = client(address);
    let fetch = client.fetch(request);
    let mut go = Some(go);
    let feeding = async move {
        let block = Bytes::from(vec![0; MIB]);
        for sent in 0..64 {
            // A feed that is refused for long has met the bound; only then may the server read.
            let patience = std::time::Duration::from_millis(200);
            let permit = match tokio::time::timeout(patience, feed.reserve()).await {
                Ok(permit) => permit.unwrap(),
                Err(_) => {
                    assert!(sent < 32, "{sent} MiB went before the server read");
                    if let Some(go) = go.take() {
                        go.send(()).unwrap();
                    }
                    feed.reserve().await.unwrap()
                }
            };
            permit.send(Ok(Frame::data(block.clone())));
        }
        assert!(go.is_none(), "the sender never waited");
    };
    let ((_, answer), ()) = within(async { tokio::join!(fetch, feeding) }).await;
    assert_eq!(answer, b"ok");
}

/// Nobody reads the answer: the server must be stopped by the socket's buffers.
#[tokio::test]
async fn a_slow_reader_slows_the_server() {
    let (told, stuck) = tokio::sync::oneshot::channel();
    let told = std::sync::Mutex::new(Some(told));
    let address = serve(move |_, mut stream| {
        let told = told.lock().unwrap().take().unwrap();
        async move {
            read_head(&mut stream).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            let block = vec![7; MIB];
            let (mut left, mut told) = (64 * MIB, Some(told));
            while left > 0 {
                let patience = std::time::Duration::from_millis(200);
                match tokio::time::timeout(patience, stream.write(&block[..MIB.min(left)])).await {
                    Ok(written) => left -= written.unwrap(),
                    Err(_) => {
                        if let Some(told) = told.take() {
                            told.send(left).unwrap();
                        }
                    }
                }
            }
        }
    })
    .await;
    let response = within(client(address).client.send(get())).await.unwrap();
    let left = within(stuck).await.unwrap();
    assert!(left > 32 * MIB, "only {left} bytes were left when the server had to wait");
    assert_eq!(read(response.into_body()).await.unwrap().0, vec![7; 64 * MIB]);
}
