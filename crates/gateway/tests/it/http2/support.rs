//! A client of HTTP/2, and functions that speak it.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use gateway::Config;
use h2::client::{self, ResponseFuture, SendRequest};
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use http::response::Parts;
use http::{HeaderMap, Request};
use model::Namespace;
use provider::http2::{Client, Config as ClientConfig};
use provider::{Http2Replica, Memory};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::support::{Served, deployed, in_time};

/// A client's connection; what it ends with is the second.
pub async fn connect(address: SocketAddr) -> (SendRequest<Bytes>, JoinHandle<Result<(), h2::Error>>) {
    connect_as(address, &client::Builder::new()).await
}

pub async fn connect_as(
    address: SocketAddr,
    settings: &client::Builder,
) -> (SendRequest<Bytes>, JoinHandle<Result<(), h2::Error>>) {
    let stream = TcpStream::connect(address).await.expect("connect");
    stream.set_nodelay(true).expect("an option");
    let (sender, connection) = in_time(settings.handshake(stream)).await.expect("handshake");
    (sender, tokio::spawn(connection))
}

pub fn post(path: &str) -> Request<()> {
    Request::post(format!("http://g{path}")).body(()).expect("a request")
}

/// Begins a call whose body is sent by the caller.
pub async fn begin(sender: &SendRequest<Bytes>, request: Request<()>) -> (ResponseFuture, SendStream<Bytes>) {
    let mut sender = in_time(sender.clone().ready()).await.expect("ready");
    sender.send_request(request, false).expect("sent")
}

/// One call with a body that is there.
pub async fn call(
    sender: &SendRequest<Bytes>,
    request: Request<()>,
    body: impl Into<Bytes>,
) -> Result<(Parts, Bytes, Option<HeaderMap>), h2::Error> {
    let (response, mut stream) = begin(sender, request).await;
    stream.send_data(body.into(), true)?;
    let (head, body) = in_time(response).await?.into_parts();
    let (body, trailers) = whole(body).await?;
    Ok((head, body, trailers))
}

pub async fn whole(mut body: RecvStream) -> Result<(Bytes, Option<HeaderMap>), h2::Error> {
    let mut read = Vec::new();
    while let Some(data) = in_time(body.data()).await {
        let data = data?;
        let _ = body.flow_control().release_capacity(data.len());
        read.extend_from_slice(&data);
    }
    let trailers = in_time(body.trailers()).await?;
    Ok((read.into(), trailers))
}

type Done = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A gateway with the function `f`, which speaks HTTP/2 and answers each stream with `answer`.
pub async fn serving<F>(answer: F, config: Config) -> Served
where
    F: Fn(Request<RecvStream>, SendResponse<Bytes>) -> Done + Clone + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let Ok(mut connection) = h2::server::handshake(stream).await else { return };
                while let Some(Ok((request, respond))) = connection.accept().await {
                    tokio::spawn(answer(request, respond));
                }
            });
        }
    });
    let client = Client::new(Arc::new(address), ClientConfig::default(), Handle::current());
    let authority = address.to_string().parse().expect("an authority");
    let replica = Arc::new(Http2Replica::new(client, authority));
    let memory = deployed(Memory::with_handler(Namespace::default(), replica), &["f"]).await;
    Served::start(memory, config).await
}

/// Sends each piece back as it comes, and then trailers.
pub fn echo(request: Request<RecvStream>, mut respond: SendResponse<Bytes>) -> Done {
    Box::pin(async move {
        let (head, mut body) = request.into_parts();
        let mut response = http::Response::new(());
        for (name, value) in &head.headers {
            response
                .headers_mut()
                .append(format!("x-echo-{name}").parse::<http::HeaderName>().expect("name"), value.clone());
        }
        let target = http::HeaderValue::from_str(&head.uri.to_string()).expect("a target");
        response.headers_mut().insert("x-echo-target", target);
        let Ok(mut stream) = respond.send_response(response, false) else { return };
        while let Some(Ok(data)) = body.data().await {
            let length = data.len();
            stream.reserve_capacity(length);
            let mut left = data;
            while !left.is_empty() {
                if stream.capacity() == 0 {
                    match std::future::poll_fn(|cx| stream.poll_capacity(cx)).await {
                        Some(Ok(_)) => continue,
                        _ => return,
                    }
                }
                let piece = left.split_to(stream.capacity().min(left.len()));
                if stream.send_data(piece, false).is_err() {
                    return;
                }
            }
            let _ = body.flow_control().release_capacity(length);
        }
        let mut trailers = body.trailers().await.ok().flatten().unwrap_or_default();
        trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
        let _ = stream.send_trailers(trailers);
    })
}
