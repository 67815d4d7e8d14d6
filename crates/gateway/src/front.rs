//! A request, by what the router says it is for, to what answers it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use provider::{Body, ProviderError};
use tokio::time::timeout;

use crate::body::Answer;
use crate::doubt::doubt;
use crate::error::ApiError;
use crate::peer::Peer;
use crate::router::{Route, route};
use crate::{Inner, function, metrics, openapi, system};

/// Answers a request to the API.
pub(crate) async fn answer(
    gateway: Arc<Inner>,
    request: Request<Incoming>,
    peer: Arc<Peer>,
) -> Response<Answer> {
    if let Some(why) = doubt(&request) {
        return ApiError::Invalid(why.into()).response().map(Answer::from);
    }
    if request.method() == Method::CONNECT {
        return ApiError::NoProxy.response().map(Answer::from);
    }
    let uri = request.uri().clone();
    if let Some(proof) = gateway.config.challenges.find(&request) {
        return proof.map(Answer::from);
    }
    let mapped = gateway.config.domains.find(&request);
    let routed = match &mapped {
        Some(mapped) => mapped.route(uri.path()),
        None => route(request.method(), uri.path()),
    };
    if let Route::Invoke { function, path } = routed {
        return function::call(&gateway, (function, path), &peer, request).await;
    }
    let metrics = Arc::clone(&gateway.metrics);
    let counted = metrics.request(request.method(), uri.path());
    let response = match routed {
        Route::Invoke { .. } => Err(ApiError::NoRoute),
        // Boxed, so that a call's future, which is moved into place for each, is not as large as these.
        Route::System(_) | Route::Health => Box::pin(manage(gateway, request)).await,
        Route::Home => Ok(redirect(StatusCode::TEMPORARY_REDIRECT, "/ui/")),
        Route::Ui => Err(gateway.ui(&request)),
        Route::OpenApi => Ok(described()),
        Route::Moved(path) => Ok(moved(request.method(), path, uri.query())),
        Route::MethodNotAllowed(allowed) => Err(ApiError::MethodNotAllowed(allowed)),
        Route::NotFound => Err(ApiError::NoRoute),
    };
    let response = response.unwrap_or_else(ApiError::response);
    if let Some(counted) = counted {
        counted.answered(response.status());
    }
    response.map(Answer::from)
}

/// On the gateway's own runtime: what a provider does neither holds up the calls that share a worker, nor ends with it.
async fn manage(gateway: Arc<Inner>, request: Request<Incoming>) -> Result<Response<Body>, ApiError> {
    let tasks = gateway.tasks.clone();
    let managed = tasks.lend(async move {
        let uri = request.uri().clone();
        match route(request.method(), uri.path()) {
            Route::System(call) => system::answer(&gateway, call, request).await,
            _ => health(&gateway).await,
        }
    });
    managed.await.unwrap_or(Err(ApiError::Aborted))
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

async fn health(gateway: &Inner) -> Result<Response<Body>, ApiError> {
    if gateway.ending.load(Ordering::Relaxed) {
        return Err(ApiError::Ending);
    }
    let asked = timeout(gateway.config.upstream_timeout, gateway.provider.health()).await;
    let late = ProviderError::Unavailable { what: "the provider".into(), source: None };
    asked.unwrap_or(Err(late)).map_err(|error| {
        tracing::warn!(error = error.chain(), "the provider is not healthy");
        ApiError::NotHealthy
    })?;
    Ok(Response::new(Body::Empty))
}

fn described() -> Response<Body> {
    let mut response = Response::new(Body::from(openapi::DOCUMENT));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
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

/// Answers a request to the metrics server.
pub(crate) async fn scrape(gateway: Arc<Inner>, request: Request<Incoming>) -> Response<Answer> {
    let response = match (request.uri().path(), request.method()) {
        ("/metrics", _) => {
            let mut response = Response::new(gateway.metrics.page());
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(metrics::CONTENT_TYPE));
            Ok(response)
        }
        ("/healthz", &Method::GET) => Ok(Response::new(Body::from("OK"))),
        ("/healthz", _) => Err(ApiError::MethodNotAllowed("GET")),
        _ => Err(ApiError::NoRoute),
    };
    response.unwrap_or_else(ApiError::response).map(Answer::from)
}
