//! A function behind a socket that keeps what it is sent, and answers what it is told to.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use model::Namespace;
use provider::http1::{Client, Config as ClientConfig};
use provider::{HttpReplica, Invoke, Memory};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::wire::{Fault, Message, Wire};

/// Calls of this path are answered as they should be, whatever is told.
pub const PROBE: &str = "/probe";

#[derive(Clone)]
pub struct Recorder {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    seen: Mutex<Vec<Result<Message, Fault>>>,
    told: Mutex<Option<Told>>,
    go_on: Notify,
    went_on: Notify,
}

/// How calls are answered.
#[derive(Clone, Default)]
pub struct Told {
    pub answer: Vec<u8>,
    /// What is sent once [`Recorder::go_on`] says so.
    pub later: Vec<u8>,
    pub close: bool,
}

impl Recorder {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("address");
        let recorder = Self { address, shared: Arc::default() };
        let shared = Arc::clone(&recorder.shared);
        tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        recorder
    }

    /// Where nothing listens.
    pub async fn nowhere() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        Self { address: listener.local_addr().expect("address"), shared: Arc::default() }
    }

    pub fn memory(&self) -> Memory {
        let client = Client::new(Arc::new(self.address), ClientConfig::default());
        let host = self.address.to_string().parse().expect("host");
        let replica: Arc<dyn Invoke> = Arc::new(HttpReplica::new(client, host));
        Memory::with_handler(Namespace::default(), replica)
    }

    pub fn tell(&self, told: Option<Told>) {
        *self.shared.told.lock().expect("told") = told;
    }

    /// What has come since this was asked last.
    pub fn take(&self) -> Vec<Result<Message, Fault>> {
        std::mem::take(&mut *self.shared.seen.lock().expect("seen"))
    }

    /// Has the rest of the answer sent, and waits until it is.
    pub async fn go_on(&self) {
        self.shared.go_on.notify_one();
        self.shared.went_on.notified().await;
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    // What is sent later is not to wait for the client's acknowledgement of what was sent before.
    stream.set_nodelay(true).expect("a socket");
    let mut wire = Wire::new(stream);
    loop {
        let request = wire.request().await;
        // An idle connection that ends, or stays idle, is nothing to tell of.
        if matches!(request, Err(Fault::End | Fault::Late)) {
            return;
        }
        shared.seen.lock().expect("seen").push(request.clone());
        let Ok(Message { first, body, .. }) = request else { return };
        let line = first.trim_end_matches(" HTTP/1.1");
        let told = shared.told.lock().expect("told").clone();
        match told.filter(|_| !line.ends_with(PROBE)) {
            Some(told) => {
                let _ = wire.stream.write_all(&told.answer).await;
                if !told.later.is_empty() {
                    shared.go_on.notified().await;
                    let _ = wire.stream.write_all(&told.later).await;
                    shared.went_on.notify_one();
                }
                if told.close {
                    return;
                }
            }
            None => {
                let text = format!("{line} {}", String::from_utf8_lossy(&body));
                let length = text.len();
                let body = if line.starts_with("HEAD ") { "" } else { &text };
                let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}");
                let _ = wire.stream.write_all(answer.as_bytes()).await;
            }
        }
    }
}
