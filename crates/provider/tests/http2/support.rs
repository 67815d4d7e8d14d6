//! A server of HTTP/2 that does as it is told, stream by stream, and a client for it.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::server::{self, Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::uri::Authority;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, StreamBody};
use provider::http2::{Client, Config, SendError};
use provider::{Body, BoxError};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

/// Longest that anything in these tests may take.
pub const PATIENCE: Duration = Duration::from_secs(20);
pub const AUTHORITY: Authority = Authority::from_static("function:8080");

pub type Respond = SendResponse<Bytes>;
pub type Incoming = Request<RecvStream>;
type Done = Pin<Box<dyn Future<Output = ()> + Send>>;

pub struct Server {
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
}

impl Server {
    /// Answers each stream with `answer`.
    pub async fn start<F>(settings: server::Builder, answer: F) -> Self
    where
        F: Fn(Incoming, Respond) -> Done + Clone + Send + 'static,
    {
        Self::start_raw(settings, move |mut connection| {
            let answer = answer.clone();
            Box::pin(async move {
                while let Some(Ok((request, respond))) = connection.accept().await {
                    tokio::spawn(answer(request, respond));
                }
            })
        })
        .await
    }

    /// Does with each connection what `serve` does.
    pub async fn start_raw<F>(settings: server::Builder, serve: F) -> Self
    where
        F: Fn(Connection<TcpStream, Bytes>) -> Done + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("address");
        let (connections, open) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let server = Self { address, connections: Arc::clone(&connections), open: Arc::clone(&open) };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::SeqCst);
                open.fetch_add(1, Ordering::SeqCst);
                let connection = settings.handshake(stream).await;
                let (served, open) = (connection.map(&serve), Arc::clone(&open));
                tokio::spawn(async move {
                    if let Ok(served) = served {
                        served.await;
                    }
                    open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        server
    }

    /// Connections that ever came.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Waits until so many connections are open.
    pub async fn open(&self, count: usize) {
        in_time(async {
            while self.open.load(Ordering::SeqCst) != count {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
    }

    pub fn client(&self) -> Client {
        self.client_with(Config::default())
    }

    pub fn client_with(&self, config: Config) -> Client {
        Client::new(Arc::new(self.address), config, Handle::current())
    }
}

pub async fn in_time<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("it is done in time")
}

pub fn post(path: &str, body: impl Into<Body>) -> Request<Body> {
    Request::post(path).body(body.into()).expect("a request")
}

pub async fn send(client: &Client, request: Request<Body>) -> Result<Response<Body>, SendError> {
    in_time(client.send(&AUTHORITY, request)).await
}

/// The whole body, and its trailers.
pub async fn whole(response: Response<Body>) -> (Bytes, Option<HeaderMap>) {
    let collected = in_time(response.into_body().collect()).await.expect("a whole body");
    let trailers = collected.trailers().cloned();
    (collected.to_bytes(), trailers)
}

/// A body that is sent as its frames come.
pub fn streamed() -> (mpsc::UnboundedSender<Result<http_body::Frame<Bytes>, BoxError>>, Body) {
    let (frames, receiver) = mpsc::unbounded_channel();
    (frames, Body::boxed(StreamBody::new(Frames(receiver))))
}

/// Reads the request, then answers with `ok`.
pub fn ok(request: Incoming, respond: Respond) -> Done {
    Box::pin(async move {
        let body = read(request.into_body()).await;
        reply(respond, Response::new(()), body);
    })
}

pub fn reply(mut respond: Respond, response: Response<()>, body: Bytes) {
    if let Ok(mut stream) = respond.send_response(response, false) {
        let _ = stream.send_data(body, true);
    }
}

pub async fn read(mut body: RecvStream) -> Bytes {
    let mut read = Vec::new();
    while let Some(Ok(data)) = body.data().await {
        let _ = body.flow_control().release_capacity(data.len());
        read.extend_from_slice(&data);
    }
    read.into()
}

/// Waits until the client resets a stream that has no answer yet.
pub async fn reset(respond: &mut Respond) -> Reason {
    let reset = std::future::poll_fn(|cx| respond.poll_reset(cx));
    in_time(reset).await.expect("the connection lives")
}

struct Frames<T>(mpsc::UnboundedReceiver<T>);

impl<T> futures_util::Stream for Frames<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.0.poll_recv(cx)
    }
}
