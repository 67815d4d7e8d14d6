//! Scripted servers, a client that counts its connections, and bodies made by hand.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use provider::body::{Body, BoxError};
use provider::http1::{Client, Config, Dial, Dialing};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// No test waits longer than this for anything.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("it takes too long")
}

/// Serves each connection, numbered from 0, by `serve`.
pub async fn serve<F, S>(serve: S) -> SocketAddr
where
    S: Fn(usize, TcpStream) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for number in 0.. {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            tokio::spawn(serve(number, stream));
        }
    });
    address
}

/// A server that answers every request without a body by the same bytes and keeps its connections.
pub async fn answering(wire: impl Into<Vec<u8>>) -> SocketAddr {
    let wire = Arc::new(wire.into());
    serve(move |_, mut stream| {
        let wire = wire.clone();
        async move {
            while read_head(&mut stream).await.is_some() {
                stream.write_all(&wire).await.unwrap();
            }
        }
    })
    .await
}

/// A server that answers by these bytes and closes the connection.
pub async fn answering_once(wire: impl Into<Vec<u8>>) -> SocketAddr {
    let wire = Arc::new(wire.into());
    serve(move |_, mut stream| {
        let wire = wire.clone();
        async move {
            read_head(&mut stream).await.unwrap();
            stream.write_all(&wire).await.unwrap();
        }
    })
    .await
}

/// Reads to the end of a request's head; none when the connection ends before it begins.
pub async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) if head.is_empty() => return None,
            Err(error) => panic!("{error} after {:?}", String::from_utf8_lossy(&head)),
        }
    }
    Some(String::from_utf8(head).unwrap())
}

/// Reads exactly `length` bytes, as text.
pub async fn read_text(stream: &mut TcpStream, length: usize) -> String {
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await.unwrap();
    String::from_utf8(bytes).unwrap()
}

/// A way to an address that counts how often it is gone.
pub struct Counting {
    address: SocketAddr,
    dials: Arc<AtomicUsize>,
}

impl Dial for Counting {
    fn dial(&self) -> Dialing<'_> {
        self.dials.fetch_add(1, Ordering::SeqCst);
        self.address.dial()
    }
}

/// A client and the count of its connections.
pub struct Counted {
    pub client: Arc<Client>,
    dials: Arc<AtomicUsize>,
}

impl Counted {
    pub fn new(address: SocketAddr, config: Config) -> Self {
        let dials = Arc::new(AtomicUsize::new(0));
        let dial = Arc::new(Counting { address, dials: dials.clone() });
        Self { client: Arc::new(Client::new(dial, config)), dials }
    }

    pub fn dials(&self) -> usize {
        self.dials.load(Ordering::SeqCst)
    }

    /// Sends a request and reads its response to the end.
    pub async fn fetch(&self, request: Request<Body>) -> (Response<()>, Vec<u8>) {
        let (parts, body) = within(self.client.send(request)).await.unwrap().into_parts();
        (Response::from_parts(parts, ()), read(body).await.unwrap().0)
    }
}

pub fn client(address: SocketAddr) -> Counted {
    Counted::new(address, Config::default())
}

pub fn request(method: Method, body: impl Into<Body>) -> Request<Body> {
    Request::builder().method(method).uri("/").header("host", "test").body(body.into()).unwrap()
}

pub fn get() -> Request<Body> {
    request(Method::GET, Body::Empty)
}

/// Reads a body to its end: its data and its trailers.
pub async fn read(mut body: Body) -> Result<(Vec<u8>, HeaderMap), BoxError> {
    let (mut data, mut trailers) = (Vec::new(), HeaderMap::new());
    while let Some(frame) = within(body.frame()).await {
        match frame?.into_data() {
            Ok(bytes) => data.extend_from_slice(&bytes),
            Err(frame) => trailers = frame.into_trailers().unwrap(),
        }
    }
    Ok((data, trailers))
}

/// A body of unknown size, fed frame by frame.
pub fn fed() -> (mpsc::Sender<Result<Frame<Bytes>, BoxError>>, Body) {
    let (feed, mut frames) = mpsc::channel(1);
    let stream = futures_util::stream::poll_fn(move |cx| frames.poll_recv(cx));
    (feed, Body::boxed(StreamBody::new(stream)))
}

pub fn data(bytes: &'static str) -> Result<Frame<Bytes>, BoxError> {
    Ok(Frame::data(Bytes::from_static(bytes.as_bytes())))
}

/// The words of an error and of all its sources.
pub fn words(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(Some(error), |error| error.source());
    sources.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
