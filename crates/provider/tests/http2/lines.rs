//! The connections: how many, how long, and where they live.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::server::Builder;
use http::Response;
use provider::http2::{Client, Config, SendError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};

use crate::support::{Server, in_time, ok, post, reply, send, whole};

/// Answers nothing before it is let, and tells what has begun.
async fn gated(settings: Builder) -> (Server, Arc<Semaphore>, mpsc::UnboundedReceiver<()>) {
    let gate = Arc::new(Semaphore::new(0));
    let (begun, begins) = mpsc::unbounded_channel();
    let held = Arc::clone(&gate);
    let server = Server::start(settings, move |_, respond| {
        let (gate, begun) = (Arc::clone(&held), begun.clone());
        Box::pin(async move {
            let _ = begun.send(());
            gate.acquire().await.expect("never closed").forget();
            reply(respond, Response::new(()), "ok".into());
        })
    })
    .await;
    (server, gate, begins)
}

#[tokio::test]
async fn calls_share_one_connection() {
    let server = Server::start(Builder::new(), ok).await;
    let client = Arc::new(server.client());
    let calls = (0..200).map(|_| {
        let client = Arc::clone(&client);
        tokio::spawn(async move { whole(send(&client, post("/", "x")).await.expect("an answer")).await.0 })
    });
    for call in futures_util::future::join_all(calls).await {
        assert_eq!(call.expect("no panic"), "x");
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn more_connections_are_made_up_to_the_bound_and_then_calls_wait() {
    let mut settings = Builder::new();
    settings.max_concurrent_streams(2);
    let (server, gate, mut begins) = gated(settings).await;
    let client = Arc::new(server.client_with(Config { connections_max: 3, ..Config::default() }));
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let client = Arc::clone(&client);
            tokio::spawn(async move { whole(send(&client, post("/", "x")).await.expect("an answer")).await })
        })
        .collect();
    for _ in 0..6 {
        in_time(begins.recv()).await.expect("it begins");
    }
    assert_eq!((server.connections(), client.connections()), (3, 3));
    assert!(begins.try_recv().is_err(), "no more than the server allows");
    gate.add_permits(20);
    for call in calls {
        assert_eq!(in_time(call).await.expect("no panic").0, "ok");
    }
    assert_eq!(server.connections(), 3);
}

#[tokio::test]
async fn what_speaks_something_else_gets_no_call() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("address");
    let (got, mut gets) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut read = vec![0; 4096];
            let length = stream.read(&mut read).await.expect("read");
            let _ = got.send(Bytes::from(read[..length].to_vec()));
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n").await;
        }
    });
    let client = Client::new(Arc::new(address), Config::default(), Handle::current());
    let Err(SendError::Connect { request, .. }) = send(&client, post("/", "mine")).await else {
        panic!("it is sent")
    };
    assert_eq!(whole(Response::new(request.into_body())).await.0, "mine");
    let got = in_time(gets.recv()).await.expect("a preface");
    assert!(got.starts_with(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") && !got.windows(4).any(|w| w == b"mine"));
    assert!(in_time(client.reach()).await.is_err());
}

#[tokio::test]
async fn one_that_is_silent_or_not_there_is_not_reached() {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let gone = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let addresses = [silent.local_addr().expect("address"), gone.local_addr().expect("address")];
    drop(gone);
    for address in addresses {
        let config = Config { connect_timeout: Duration::from_millis(50), ..Config::default() };
        let client = Arc::new(Client::new(Arc::new(address), config, Handle::current()));
        let calls = (0..100).map(|_| {
            let client = Arc::clone(&client);
            tokio::spawn(async move { send(&client, post("/", "x")).await })
        });
        let begun = std::time::Instant::now();
        for call in futures_util::future::join_all(calls).await {
            assert!(matches!(call.expect("no panic"), Err(SendError::Connect { .. })));
        }
        assert!(begun.elapsed() < Duration::from_secs(4), "they wait together, not one after another");
    }
}

#[tokio::test]
async fn connections_close_when_idle_and_with_the_client() {
    let server = Server::start(Builder::new(), ok).await;
    let client = server.client_with(Config { idle_timeout: Duration::from_millis(20), ..Config::default() });
    whole(send(&client, post("/", "x")).await.expect("an answer")).await;
    server.open(0).await;
    assert_eq!(client.connections(), 0);
    let response = send(&client, post("/", "kept")).await.expect("an answer");
    drop(client);
    assert_eq!(whole(response).await.0, "kept", "what is under way ends well");
    server.open(0).await;
    assert_eq!(server.connections(), 2);
}

#[test]
fn connections_outlive_the_runtime_of_the_caller() {
    let runtime =
        || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (home, first, second) = (runtime(), runtime(), runtime());
    let (server, client) = home.block_on(async {
        let server = Server::start(Builder::new(), ok).await;
        let client = server.client();
        (server, client)
    });
    let call = || async { whole(send(&client, post("/", "x")).await.expect("an answer")).await.0 };
    assert_eq!(first.block_on(call()), "x");
    drop(first);
    assert_eq!(second.block_on(call()), "x");
    assert_eq!(server.connections(), 1);
}
