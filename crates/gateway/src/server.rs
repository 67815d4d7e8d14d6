//! The two servers: the API with the calls, and the metrics. One loop accepts, one task serves a connection.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use provider::Body;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::body::Answer;
use crate::error::ApiError;
use crate::router::{Route, route};
use crate::{Config, Gateway, Inner, function, metrics, system};

/// Connections to the metrics server at once.
const SCRAPERS_MAX: usize = 64;
/// After an accept that failed: descriptors may have run out, and asking again at once would only burn the processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// What is still read of a client after the last answer to it.
const LINGER_BYTES_MAX: usize = 4 * 1024 * 1024;
const LINGER_MAX: Duration = Duration::from_secs(1);

impl Gateway {
    /// Serves until `shutdown`; then accepts no more, lets what is under way end for as long as `drain_timeout`, and
    /// cuts what is left.
    pub async fn serve(
        &self,
        listener: TcpListener,
        metrics: TcpListener,
        shutdown: impl Future<Output = ()>,
        drain_timeout: Duration,
    ) -> io::Result<()> {
        let draining = CancellationToken::new();
        let drained = CancellationToken::new();
        let api = Server::new(&self.0.config, self.0.config.connections_max, draining.clone());
        let scrapes = Server::new(&self.0.config, SCRAPERS_MAX, drained.clone());
        let calls = async {
            let gateway = Arc::clone(&self.0);
            let left =
                api.run(listener, move |request, peer| answer(Arc::clone(&gateway), request, peer)).await;
            finish(left, &self.0, drain_timeout).await;
            drained.cancel();
        };
        let metrics = async {
            let gateway = Arc::clone(&self.0);
            scrapes
                .run(metrics, move |request, _| scrape(Arc::clone(&gateway), request))
                .await
                .shutdown()
                .await;
        };
        let stop = async {
            shutdown.await;
            draining.cancel();
        };
        tokio::join!(calls, metrics, stop);
        Ok(())
    }
}

/// One listening socket's rules.
struct Server {
    http: http1::Builder,
    places: Arc<Semaphore>,
    stop: CancellationToken,
}

impl Server {
    fn new(config: &Config, connections_max: usize, stop: CancellationToken) -> Self {
        // Without `pipeline_flush`: it keeps an answer back while half of another request is in the buffer, and the
        // answer to a bad head for ever.
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(config.read_timeout)
            .max_header_size(config.head_max)
            .max_buf_size(config.head_max.max(64 * 1024));
        Self { http, places: Arc::new(Semaphore::new(connections_max)), stop }
    }

    /// Accepts until it is to stop; the connections that are left are told to end after what is under way.
    async fn run<S, F>(&self, listener: TcpListener, service: S) -> JoinSet<()>
    where
        S: Fn(Request<Incoming>, HeaderValue) -> F + Clone + Send + 'static,
        F: Future<Output = Response<Answer>> + Send + 'static,
    {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return connections,
                Some(_) = connections.join_next() => {}
                (stream, peer, place) = self.accept(&listener) => {
                    let (http, stop, service) = (self.http.clone(), self.stop.clone(), service.clone());
                    connections.spawn(async move {
                        serve_connection(http, stream, peer, stop, service).await;
                        drop(place);
                    });
                }
            }
        }
    }

    async fn accept(
        &self,
        listener: &TcpListener,
    ) -> (TcpStream, SocketAddr, Option<tokio::sync::OwnedSemaphorePermit>) {
        // Never closed, so there is always a permit.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => return (stream, peer, place),
                Err(error) => {
                    tracing::warn!(%error, "failed to accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

async fn serve_connection<S, F>(
    http: http1::Builder,
    stream: TcpStream,
    peer: SocketAddr,
    stop: CancellationToken,
    service: S,
) where
    S: Fn(Request<Incoming>, HeaderValue) -> F,
    F: Future<Output = Response<Answer>>,
{
    if let Err(error) = stream.set_nodelay(true) {
        return tracing::debug!(%error, "a connection is gone already");
    }
    let Ok(peer) = HeaderValue::from_str(&peer.to_string()) else { return };
    let service = service_fn(move |request| {
        let answer = service(request, peer.clone());
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let mut stream = TokioIo::new(stream);
    let mut connection = pin!(http.serve_connection(&mut stream, service));
    let served = tokio::select! {
        biased;
        served = connection.as_mut() => served,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection broke off");
    }
    if !stop.is_cancelled() {
        linger(stream.into_inner()).await;
    }
}

/// Reads on after the last answer: closing on a client that still sends would reset the connection, and with it lose
/// the answer that tells it why.
async fn linger(mut stream: TcpStream) {
    let mut left = LINGER_BYTES_MAX;
    let mut scratch = [0; 4096];
    let read_off = async {
        let _ = stream.shutdown().await;
        while let Ok(read @ 1..) = stream.read(&mut scratch).await {
            left = left.saturating_sub(read);
            if left == 0 {
                break;
            }
        }
    };
    let _ = timeout(LINGER_MAX, read_off).await;
}

async fn answer(gateway: Arc<Inner>, request: Request<Incoming>, peer: HeaderValue) -> Response<Answer> {
    let uri = request.uri().clone();
    let response = match route(request.method(), uri.path()) {
        Route::Invoke { function, path } => {
            let called = (function, path, &gateway.config.namespace);
            return function::call(&gateway.pipeline, called, &peer, request).await;
        }
        Route::System(call) => system::answer(&gateway, call, request).await,
        Route::Health => match timeout(gateway.config.upstream_timeout, gateway.provider.health()).await {
            Ok(health) => health.map(|()| Response::new(Body::Empty)).map_err(ApiError::from),
            Err(_) => Err(ApiError::from(provider::ProviderError::Unavailable {
                what: "the provider".into(),
                source: None,
            })),
        },
        Route::Home => Ok(redirect(StatusCode::TEMPORARY_REDIRECT, "/ui/")),
        Route::Ui => Err(gateway.ui(&request)),
        Route::Moved(path) => Ok(moved(request.method(), path, uri.query())),
        Route::MethodNotAllowed(allowed) => Err(ApiError::MethodNotAllowed(allowed)),
        Route::NotFound => Err(ApiError::NoRoute),
    };
    response.unwrap_or_else(ApiError::response).map(Answer::from)
}

impl Inner {
    /// There are no pages yet, and nobody else is told so.
    fn ui(&self, request: &Request<Incoming>) -> ApiError {
        match &self.auth {
            Some(auth) if !auth.allows(request.headers()) => ApiError::Unauthorized,
            _ => ApiError::NoRoute,
        }
    }
}

/// 301 lets clients turn a POST into a GET, which would list where it should deploy; 308 does not.
fn moved(method: &Method, mut path: String, query: Option<&str>) -> Response<Body> {
    if let Some(query) = query {
        path = format!("{path}?{query}");
    }
    let safe = matches!(*method, Method::GET | Method::HEAD);
    redirect(if safe { StatusCode::MOVED_PERMANENTLY } else { StatusCode::PERMANENT_REDIRECT }, &path)
}

fn redirect(status: StatusCode, to: &str) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = status;
    if let Ok(to) = HeaderValue::from_str(to) {
        response.headers_mut().insert(LOCATION, to);
    }
    response
}

async fn scrape(gateway: Arc<Inner>, request: Request<Incoming>) -> Response<Answer> {
    let response = match (request.uri().path(), request.method()) {
        ("/metrics", _) => {
            let mut response = Response::new(Body::from(gateway.metrics.page()));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(metrics::CONTENT_TYPE));
            Ok(response)
        }
        ("/healthz", &Method::GET) => Ok(Response::new(Body::from("OK"))),
        ("/healthz", _) => Err(ApiError::MethodNotAllowed("GET")),
        _ => Err(ApiError::NoRoute),
    };
    response.unwrap_or_else(ApiError::response).map(Answer::from)
}

/// Waits for what is under way, the changes that clients did not wait for among it.
async fn finish(mut connections: JoinSet<()>, gateway: &Inner, drain_timeout: Duration) {
    gateway.tasks.close();
    let all = async {
        while connections.join_next().await.is_some() {}
        gateway.tasks.wait().await;
    };
    if timeout(drain_timeout, all).await.is_err() {
        tracing::warn!(connections = connections.len(), "the drain timeout cuts off what is left");
    }
    connections.shutdown().await;
}
