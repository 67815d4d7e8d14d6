//! The management API: what its calls have in common.

mod alert;
mod functions;
mod info;
mod logs;
mod namespaces;
mod scale;
mod secrets;
mod telemetry;

use std::fmt::Display;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use model::{FunctionId, FunctionName, Namespace};
use provider::{Body, ProviderError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::Inner;
use crate::error::ApiError;
use crate::router::System;

type Reply = Result<Response<Body>, ApiError>;

pub(crate) async fn answer(gateway: &Inner, call: System<'_>, request: Request<Incoming>) -> Reply {
    if gateway.auth.as_ref().is_some_and(|auth| !auth.allows(request.headers())) {
        return Err(ApiError::Unauthorized);
    }
    let (parts, body) = request.into_parts();
    let asked = Asked { gateway, query: Query::parse(&parts)?, parts, body };
    match call {
        System::List => functions::list(asked).await,
        System::Deploy => functions::deploy(asked).await,
        System::Update => functions::update(asked).await,
        System::Delete => functions::delete(asked).await,
        System::Get(name) => functions::get(asked, name).await,
        System::Scale(name) => scale::scale(asked, name).await,
        System::ListSecrets => secrets::list(asked).await,
        System::CreateSecret => secrets::create(asked).await,
        System::UpdateSecret => secrets::update(asked).await,
        System::DeleteSecret => secrets::delete(asked).await,
        System::Logs => logs::logs(asked).await,
        System::Info => info::info(gateway).await,
        System::Namespaces => namespaces::list(gateway).await,
        System::CreateNamespace(name) => namespaces::create(asked, name).await,
        System::Namespace(name) => namespaces::get(asked, name).await,
        System::UpdateNamespace(name) => namespaces::update(asked, name).await,
        System::DeleteNamespace(name) => namespaces::delete(asked, name).await,
        System::Alert => alert::alert(asked).await,
        System::Telemetry => telemetry::telemetry(gateway),
    }
}

/// A management request whose sender may make it.
struct Asked<'a> {
    gateway: &'a Inner,
    query: Query,
    parts: Parts,
    body: Incoming,
}

/// What management calls read from the query; other keys mean nothing.
#[derive(Debug, Default, PartialEq, Eq)]
struct Query {
    namespace: Option<Namespace>,
    usage: bool,
}

impl Asked<'_> {
    /// The body.
    async fn json<T: DeserializeOwned>(&mut self) -> Result<T, ApiError> {
        self.json_within(self.gateway.config.json_max).await
    }

    /// The same, where a call takes more, or less, than others.
    async fn json_within<T: DeserializeOwned>(&mut self, max: usize) -> Result<T, ApiError> {
        decode(&self.read(max).await?)
    }

    /// The same, where it may be left out.
    async fn json_if_any<T: DeserializeOwned>(&mut self) -> Result<Option<T>, ApiError> {
        let bytes = self.read(self.gateway.config.json_max).await?;
        match bytes.trim_ascii() {
            b"" | b"null" => Ok(None),
            bytes => decode(bytes).map(Some),
        }
    }

    /// The body's bytes, bounded in number and time.
    async fn read(&mut self, max: usize) -> Result<Bytes, ApiError> {
        let announced =
            self.parts.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        if announced.is_some_and(|length: u64| length > max as u64) {
            return Err(ApiError::TooLarge(max));
        }
        let read = Limited::new(&mut self.body, max).collect();
        let read = timeout(self.gateway.config.read_timeout, read).await.map_err(|_| ApiError::TooSlow)?;
        let bytes = read.map_err(|error| match error.downcast_ref::<LengthLimitError>() {
            Some(_) => ApiError::TooLarge(max),
            None => ApiError::Invalid(format!("failed to read the body: {error}")),
        })?;
        Ok(bytes.to_bytes())
    }

    /// The namespace of a request, which clients write into its body, its query, or nowhere.
    fn namespace(&self, body: Option<&str>) -> Result<Namespace, ApiError> {
        let body = body.filter(|text| !text.is_empty()).map(parse_namespace).transpose()?;
        match (body, &self.query.namespace) {
            (Some(body), Some(query)) if body != *query => Err(ApiError::Invalid(format!(
                "namespace: the body says {body} and the query says {query}; say one of them"
            ))),
            (Some(body), _) => Ok(body),
            (None, Some(query)) => Ok(query.clone()),
            (None, None) => Ok(self.gateway.config.namespace.clone()),
        }
    }

    /// Carries a change out to its end, whether or not the client waits for it.
    async fn carry_out<F>(&self, done: StatusCode, change: F) -> Reply
    where
        F: Future<Output = Result<(), ProviderError>> + Send + 'static,
    {
        self.gateway.tasks.spawn(change).await.map_err(|_| ApiError::Aborted)??;
        let mut response = Response::new(Body::Empty);
        *response.status_mut() = done;
        Ok(response)
    }
}

impl Query {
    fn parse(parts: &Parts) -> Result<Self, ApiError> {
        let mut query = Self::default();
        for (key, value) in form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()) {
            match &*key {
                "namespace" if !value.is_empty() => {
                    let namespace = parse_namespace(&value)?;
                    let before = query.namespace.replace(namespace.clone());
                    if before.is_some_and(|before| before != namespace) {
                        return Err(ApiError::Invalid(
                            "namespace: the query names two; say one of them".into(),
                        ));
                    }
                }
                "usage" => query.usage = is_true(&value),
                _ => {}
            }
        }
        Ok(query)
    }
}

/// As Go reads a boolean; what is none is false.
fn is_true(text: &str) -> bool {
    matches!(text, "1" | "t" | "T" | "true" | "TRUE" | "True")
}

fn parse_namespace(text: &str) -> Result<Namespace, ApiError> {
    Namespace::parse(text).map_err(|error| ApiError::Invalid(format!("namespace: {error}")))
}

/// A function named in a path or a body; `field` is where.
fn function_id(field: &str, name: &str, namespace: Namespace) -> Result<FunctionId, ApiError> {
    let name = FunctionName::parse(name).map_err(|error| ApiError::Invalid(format!("{field}: {error}")))?;
    Ok(FunctionId::new(name, namespace))
}

/// A request's JSON object; what is not asked for in it is ignored.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let refused = |why: &dyn Display| {
        ApiError::Invalid(format!("the body is not the JSON that this call takes: {why}"))
    };
    // A list would be taken for the fields in their order.
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(refused(&"it is not an object"));
    }
    serde_json::from_slice(bytes).map_err(|error| refused(&error))
}

fn json(value: &impl Serialize) -> Reply {
    let bytes =
        serde_json::to_vec(value).map_err(|error| ProviderError::backend("write the answer", error))?;
    let mut response = Response::new(Body::from(bytes));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}
