//! A gateway on free ports, raw exchanges with it, and functions that do as they are told.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gateway::{Config, Gateway, Listeners, TlsListener};
use http::Response;
use model::{FunctionId, FunctionSpec, ImageRef, Namespace};
use provider::{Body, Call, Invoke, InvokeError, Memory, Provider};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Longest that anything in these tests may take.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct Served {
    pub api: SocketAddr,
    pub metrics: SocketAddr,
    pub gateway: Gateway,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<()>,
}

impl Served {
    pub async fn start(provider: Arc<dyn Provider>, config: Config) -> Self {
        Self::start_draining(provider, config, PATIENCE).await
    }

    pub async fn start_draining(
        provider: Arc<dyn Provider>,
        config: Config,
        drain_timeout: Duration,
    ) -> Self {
        let api = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        Self::start_all(provider, config, drain_timeout, api, None).await
    }

    pub async fn start_all(
        provider: Arc<dyn Provider>,
        config: Config,
        drain_timeout: Duration,
        api: TcpListener,
        tls: Option<TlsListener>,
    ) -> Self {
        let metrics = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addresses = (api.local_addr().expect("address"), metrics.local_addr().expect("address"));
        let gateway = Gateway::new(provider, config);
        let (stop, stopped) = oneshot::channel();
        let served = gateway.clone();
        let serving = tokio::spawn(async move {
            let shutdown = async { drop(stopped.await) };
            served.serve(Listeners { api, tls, metrics }, shutdown, drain_timeout).await.expect("serve");
        });
        Self { api: addresses.0, metrics: addresses.1, gateway, stop: Some(stop), serving }
    }

    /// One request over a connection of its own, which the request must ask to close.
    pub async fn raw(&self, request: impl AsRef<[u8]>) -> String {
        exchange(self.api, request.as_ref()).await
    }

    /// The same, as it can be compared: see [`comparable`].
    pub async fn golden(&self, request: &str) -> String {
        comparable(&self.raw(request).await)
    }

    pub async fn page(&self) -> String {
        exchange(self.metrics, b"GET /metrics HTTP/1.1\r\nhost: m\r\nconnection: close\r\n\r\n").await
    }

    /// Tells it to stop; [`Served::stop`] then waits until it has.
    pub fn begin_stop(&mut self) {
        drop(self.stop.take());
    }

    pub async fn stop(mut self) {
        self.begin_stop();
        in_time(self.serving).await.expect("it does not panic");
    }
}

pub async fn in_time<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("it is done in time")
}

pub async fn exchange(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.expect("connect");
    // A server that refuses early may close before it has read everything.
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    let _ = in_time(stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// Reads until what has come ends with `end`.
pub async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    while !text.ends_with(end) {
        let mut piece = [0; 4096];
        let read = in_time(stream.read(&mut piece)).await.expect("read");
        assert!(read > 0, "the connection ended after {text:?}, without {end:?}");
        text.push_str(&String::from_utf8_lossy(&piece[..read]));
    }
    text
}

/// An answer with `\n` for line ends, without its date, and with what differs from call to call named.
pub fn comparable(answer: &str) -> String {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    let mut lines: Vec<String> = Vec::new();
    for line in head.split("\r\n").filter(|line| !line.starts_with("date: ")) {
        lines.push(mask(line));
    }
    format!("{}\n\n{body}", lines.join("\n"))
}

pub fn mask(line: &str) -> String {
    let uuid = |text: &str| text.len() == 36 && text.split('-').count() == 5;
    let nanos = |text: &str| text.len() == 19 && text.bytes().all(|b| b.is_ascii_digit());
    let seconds = |text: &str| {
        text.split_once('.')
            .is_some_and(|(whole, part)| part.len() == 6 && (whole.to_owned() + part).parse::<u64>().is_ok())
    };
    let masked = |word: &str| match word {
        word if uuid(word) => "UUID".to_owned(),
        word if nanos(word) => "NANOSECONDS".to_owned(),
        word if seconds(word) => "SECONDS".to_owned(),
        word if word.starts_with("127.0.0.1:") => "PEER".to_owned(),
        word if word.starts_with("for=\"127.0.0.1:") => {
            let rest = word.splitn(3, '"').nth(2).unwrap_or_default();
            format!("for=\"PEER\"{rest}")
        }
        word => word.to_owned(),
    };
    line.split(' ').map(masked).collect::<Vec<_>>().join(" ")
}

pub fn id(name: &str) -> FunctionId {
    FunctionId::parse(name, &Namespace::default()).expect("a name of ours")
}

pub fn spec(name: &str) -> FunctionSpec {
    FunctionSpec::new(id(name), ImageRef::parse("minke/echo:1").expect("reference"))
}

pub async fn deployed(memory: Memory, names: &[&str]) -> Arc<Memory> {
    for name in names {
        memory.deploy(spec(name)).await.expect("deploy");
    }
    Arc::new(memory)
}

pub async fn echoing(names: &[&str]) -> Arc<Memory> {
    deployed(Memory::new(Namespace::default()), names).await
}

type Answering = Pin<Box<dyn Future<Output = Result<Response<Body>, InvokeError>> + Send>>;

/// A function made of a closure.
pub struct Scripted<F>(pub F);

#[async_trait]
impl<F> Invoke for Scripted<F>
where
    F: Fn(Call) -> Answering + Send + Sync + 'static,
{
    async fn invoke(&self, call: Call) -> Result<Response<Body>, InvokeError> {
        (self.0)(call).await
    }
}

pub async fn running<F>(names: &[&str], script: F) -> Arc<Memory>
where
    F: Fn(Call) -> Answering + Send + Sync + 'static,
{
    deployed(Memory::with_handler(Namespace::default(), Arc::new(Scripted(script))), names).await
}
