//! A function whose replica is the test itself: it accepts, reads and answers as it likes.

use std::sync::Arc;
use std::time::Duration;

use gateway::Config;
use model::Namespace;
use provider::http1::{Client, Config as ClientConfig};
use provider::{HttpReplica, Memory, Provider};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{PATIENCE, Served, id, in_time, spec};

/// The function is called `f`.
pub struct ByHand {
    replica: TcpListener,
    pub served: Served,
    pub memory: Arc<Memory>,
}

impl ByHand {
    pub async fn start(config: Config, annotations: &[(&str, &str)]) -> Self {
        Self::start_draining(config, annotations, PATIENCE).await
    }

    pub async fn draining(drain_timeout: Duration) -> Self {
        Self::start_draining(Config::default(), &[], drain_timeout).await
    }

    async fn start_draining(config: Config, annotations: &[(&str, &str)], drain_timeout: Duration) -> Self {
        let replica = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = replica.local_addr().expect("address");
        let client = Client::new(Arc::new(address), ClientConfig::default());
        let host = address.to_string().parse().expect("host");
        let memory = Memory::with_handler(Namespace::default(), Arc::new(HttpReplica::new(client, host)));
        let mut function = spec("f");
        function.annotations = annotations.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        memory.deploy(function).await.expect("deploy");
        let memory = Arc::new(memory);
        let served = Served::start_draining(memory.clone(), config, drain_timeout).await;
        Self { replica, served, memory }
    }

    /// A client that has written `text`.
    pub async fn client(&self, text: &str) -> TcpStream {
        let mut client = TcpStream::connect(self.served.api).await.expect("connect");
        client.write_all(text.as_bytes()).await.expect("write");
        client
    }

    /// The next connection to the replica.
    pub async fn accept(&self) -> TcpStream {
        in_time(self.replica.accept()).await.expect("a connection").0
    }

    /// The next connection to the replica, and the head that comes over it.
    pub async fn call(&self) -> (TcpStream, String) {
        let mut replica = self.accept().await;
        let head = until(&mut replica, "\r\n\r\n").await;
        (replica, head)
    }

    /// Calls that the replica is answering.
    pub fn in_flight(&self) -> usize {
        let route = self.memory.routes().get(&id("f")).expect("a route");
        route.endpoints.iter().map(|endpoint| endpoint.in_flight()).sum()
    }

    /// Until the page of metrics holds `line`.
    pub async fn counted(&self, line: &str) {
        let counted = async {
            while !self.served.page().await.contains(line) {
                tokio::task::yield_now().await;
            }
        };
        in_time(counted).await;
    }
}

pub async fn write(stream: &mut TcpStream, text: &str) {
    in_time(stream.write_all(text.as_bytes())).await.expect("write");
}

/// What still comes, to the end.
pub async fn rest(stream: &mut TcpStream) -> String {
    let mut rest = Vec::new();
    let _ = in_time(stream.read_to_end(&mut rest)).await;
    String::from_utf8_lossy(&rest).into_owned()
}

/// Reads up to the first `end`, and not a byte more.
pub async fn until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = Vec::new();
    while !text.ends_with(end.as_bytes()) {
        let read = in_time(stream.read_u8()).await;
        let told =
            || format!("the connection ended after {:?}, without {end:?}", String::from_utf8_lossy(&text));
        text.push(read.unwrap_or_else(|error| panic!("{}: {error}", told())));
    }
    String::from_utf8(text).expect("text")
}
