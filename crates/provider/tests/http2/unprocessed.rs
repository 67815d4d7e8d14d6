//! What the endpoint says that it has not processed is sent again, and nothing else is.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use h2::Reason;
use h2::server::Builder;
use http::Response;
use http_body::Frame;
use provider::http2::SendError;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::support::{Server, in_time, ok, post, read, reply, send, streamed, whole};

#[tokio::test]
async fn a_refused_stream_is_sent_again_and_then_given_back() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let server = Server::start(Builder::new(), move |request, mut respond| {
        let nth = counted.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            if nth == 0 || request.uri().path() == "/never" {
                return respond.send_reset(Reason::REFUSED_STREAM);
            }
            let body = read(request.into_body()).await;
            reply(respond, Response::new(()), body);
        })
    })
    .await;
    let client = server.client();
    let response = send(&client, post("/", "again")).await.expect("an answer");
    assert_eq!(whole(response).await.0, "again");
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    let Err(SendError::Connect { request, .. }) = send(&client, post("/never", "mine")).await else {
        panic!("it is taken")
    };
    assert_eq!(request.uri(), "/never");
    assert_eq!(whole(Response::new(request.into_body())).await.0, "mine");
    assert_eq!(asked.load(Ordering::SeqCst), 5);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn what_was_streamed_cannot_be_sent_again() {
    let server = Server::start(Builder::new(), |request, mut respond| {
        Box::pin(async move {
            let mut body = request.into_body();
            for _ in 0..2 {
                body.data().await.expect("data").expect("data");
            }
            respond.send_reset(Reason::REFUSED_STREAM);
        })
    })
    .await;
    let (frames, body) = streamed();
    for _ in 0..2 {
        frames.send(Ok(Frame::data(Bytes::from_static(b"x")))).expect("sent");
    }
    let sent = send(&server.client(), post("/", body)).await;
    assert!(matches!(sent, Err(SendError::Upstream(_))), "{sent:?}");
}

#[tokio::test]
async fn other_resets_are_the_end_of_the_call() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let server = Server::start(Builder::new(), move |_, mut respond| {
        counted.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move { respond.send_reset(Reason::INTERNAL_ERROR) })
    })
    .await;
    let sent = send(&server.client(), post("/", "x")).await;
    assert!(matches!(sent, Err(SendError::Upstream(_))), "{sent:?}");
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_connection_that_is_lost_loses_its_calls_and_the_next_gets_another() {
    let nth = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&nth);
    let server = Server::start_raw(Builder::new(), move |mut connection| {
        let nth = counted.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            while let Some(Ok((request, respond))) = connection.accept().await {
                if nth == 0 {
                    return;
                }
                tokio::spawn(ok(request, respond));
            }
        })
    })
    .await;
    let client = server.client();
    let sent = send(&client, post("/", "x")).await;
    assert!(matches!(sent, Err(SendError::Upstream(_))), "it may have been processed: {sent:?}");
    assert_eq!(whole(send(&client, post("/", "y")).await.expect("an answer")).await.0, "y");
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_server_that_says_goodbye_ends_what_it_has_and_gets_no_more() {
    let (goodbye, said) = mpsc::unbounded_channel::<()>();
    let said = Arc::new(tokio::sync::Mutex::new(said));
    let server = Server::start_raw(Builder::new(), move |mut connection| {
        let said = Arc::clone(&said);
        Box::pin(async move {
            let mut said = said.lock().await;
            loop {
                tokio::select! {
                    Some(()) = said.recv() => connection.graceful_shutdown(),
                    accepted = connection.accept() => match accepted {
                        Some(Ok((request, respond))) => drop(tokio::spawn(ok(request, respond))),
                        _ => return,
                    },
                }
            }
        })
    })
    .await;
    let client = Arc::new(server.client());
    let (frames, body) = streamed();
    frames.send(Ok(Frame::data("he".into()))).expect("sent");
    let under_way = Arc::clone(&client);
    let under_way = tokio::spawn(async move { send(&under_way, post("/", body)).await });
    // The first call is with the server when a later one is answered.
    whole(send(&client, post("/", "x")).await.expect("an answer")).await;
    goodbye.send(()).expect("sent");
    // The lock is the first connection's, so a second one waits for its end.
    let next = Arc::clone(&client);
    let next = tokio::spawn(async move {
        loop {
            let response = send(&next, post("/", "y")).await.expect("an answer");
            whole(response).await;
            if next.connections() == 1 {
                break;
            }
        }
    });
    frames.send(Ok(Frame::data("llo".into()))).expect("sent");
    drop(frames);
    let response = in_time(under_way).await.expect("no panic").expect("an answer");
    assert_eq!(whole(response).await.0, "hello");
    in_time(next).await.expect("no panic");
}

/// Frames by hand: settings, and a goodbye that names no stream, after the first call's head.
#[tokio::test]
async fn what_a_goodbye_excludes_goes_to_another_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("address");
    tokio::spawn(async move {
        let (mut first, _) = listener.accept().await.expect("accept");
        first.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.expect("settings");
        read_headers(&mut first).await;
        // NO_ERROR, last stream 0.
        first.write_all(&[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).await.expect("goodbye");
        let (second, _) = listener.accept().await.expect("accept");
        let mut connection = h2::server::handshake(second).await.expect("handshake");
        while let Some(Ok((request, respond))) = connection.accept().await {
            tokio::spawn(ok(request, respond));
        }
        drop(first);
    });
    let client = provider::http2::Client::new(
        Arc::new(address),
        Default::default(),
        tokio::runtime::Handle::current(),
    );
    let response = send(&client, post("/", "whole")).await.expect("an answer");
    assert_eq!(whole(response).await.0, "whole");
}

/// Reads the preface, and frames up to a HEADERS.
async fn read_headers(stream: &mut TcpStream) {
    stream.read_exact(&mut [0; 24]).await.expect("preface");
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.expect("a frame");
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        stream.read_exact(&mut vec![0; length]).await.expect("a frame");
        if head[3] == 1 {
            return;
        }
    }
}
