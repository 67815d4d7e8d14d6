//! The REST API turned back into a [`Provider`]: any OpenFaaS-compatible gateway or faas-provider server. Also the
//! client of the command line, and our SDK.

mod client;
mod logs;
mod routes;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::{Method, Response};
use model::wire::{
    DeleteFunctionRequest, FunctionDeployment, FunctionNamespace, FunctionStatusResponse, InfoResponse,
    ScaleServiceRequest, Secret,
};
use model::{
    FunctionId, FunctionSpec, FunctionStatus, LogQuery, Namespace, NamespaceSpec, PlatformInfo, ProviderInfo,
    SecretId, SecretName, SecretValue, Usage,
};

use self::client::{Answer, Client};
use self::routes::Watch;
use crate::{Body, Call, Invoke, InvokeError, LogStream, Provider, ProviderError, Route, RouteTable};

pub use self::client::{Credentials, RemoteError};

#[derive(Debug, Clone)]
pub struct RemoteConfig {
    /// Base address: `http://127.0.0.1:8080`, with or without a path and a trailing slash.
    pub url: String,
    pub credentials: Option<Credentials>,
    /// Accept any certificate.
    pub tls_no_verify: bool,
    /// Bound on each management call, body included; invocations have none here.
    pub timeout: Duration,
    pub user_agent: String,
    /// Idle connections that are kept.
    pub idle_max: usize,
    /// Where functions live when nobody says.
    pub namespace: Namespace,
    /// Leave `namespace` out of requests, so that the far side's own default holds.
    pub namespace_implicit: bool,
}

impl RemoteConfig {
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            credentials: None,
            tls_no_verify: false,
            timeout: Duration::from_secs(60),
            user_agent: concat!("minke/", env!("CARGO_PKG_VERSION")).to_owned(),
            idle_max: 1024,
            namespace: Namespace::default(),
            namespace_implicit: false,
        }
    }
}

/// How the far side answered a deployment, whatever it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeployAnswer {
    pub status: u16,
    /// The start of the body.
    pub message: String,
}

/// A platform at the other end of a URL. Clones share their connections.
#[derive(Clone)]
pub struct Remote {
    client: Client,
    namespace: Namespace,
    namespace_implicit: bool,
    routes: Arc<RouteTable>,
}

impl Remote {
    /// Fails on an address that cannot be one; reaches out to nobody yet.
    pub fn new(config: RemoteConfig) -> Result<Self, RemoteError> {
        let (namespace, namespace_implicit) = (config.namespace.clone(), config.namespace_implicit);
        let client = Client::new(config)?;
        Ok(Self { client, namespace, namespace_implicit, routes: Arc::new(RouteTable::new()) })
    }

    /// Keeps [`Provider::routes`] current by asking every `interval`, for as long as the future is polled.
    pub async fn watch(self: Arc<Self>, interval: Duration) {
        Watch::new(self).run(interval).await;
    }

    /// What the far side tells of itself; also of its provider.
    pub async fn platform(&self) -> Result<PlatformInfo, ProviderError> {
        let answer = self.client.call(Method::GET, "/system/info", None::<&()>).await?;
        Ok(answer.expect(&[200], "platform", "")?.json::<InfoResponse>()?.into())
    }

    /// The status code of the answer of deploy, which clients of the API show.
    pub async fn deploy_status(&self, method: Method, spec: FunctionSpec) -> Result<u16, ProviderError> {
        let id = spec.id.clone();
        let mut body = FunctionDeployment::from(spec);
        body.namespace = body.namespace.filter(|ns| !self.is_implicit(ns));
        let answer = self.client.call(method, "/system/functions", Some(&body)).await?;
        Ok(answer.expect(&[200, 201, 202], "function", &id.to_string())?.status)
    }

    /// Deploys and tells the status code even when it is a refusal; fails only when there is no answer.
    pub async fn deploy_answer(
        &self,
        method: Method,
        spec: FunctionSpec,
    ) -> Result<DeployAnswer, ProviderError> {
        let mut body = FunctionDeployment::from(spec);
        body.namespace = body.namespace.filter(|ns| !self.is_implicit(ns));
        let answer = self.client.call(method, "/system/functions", Some(&body)).await?;
        Ok(DeployAnswer { status: answer.status, message: answer.message() })
    }

    /// [`Provider::get`], with what the replicas use when the far side can tell.
    pub async fn get_with_usage(&self, id: &FunctionId) -> Result<FunctionStatus, ProviderError> {
        let path = self.with_namespace(format!("/system/function/{}?usage=1", id.name), &id.namespace);
        self.status(&path, id).await
    }

    /// [`Invoke::invoke`], but the far side answers at once and calls the function later.
    pub async fn enqueue(&self, call: Call) -> Result<Response<Body>, InvokeError> {
        self.client.invoke("async-function", call).await
    }

    async fn status(&self, path: &str, id: &FunctionId) -> Result<FunctionStatus, ProviderError> {
        let answer = self.client.call(Method::GET, path, None::<&()>).await?;
        let answer = answer.expect(&[200], "function", &id.to_string())?;
        into_status(answer.json()?, &id.namespace)
    }

    fn is_implicit(&self, namespace: &str) -> bool {
        self.namespace_implicit && namespace == self.namespace.as_str()
    }

    fn with_namespace(&self, mut path: String, namespace: &Namespace) -> String {
        if !self.is_implicit(namespace.as_str()) {
            path.push(if path.contains('?') { '&' } else { '?' });
            path.push_str("namespace=");
            path.push_str(namespace.as_str());
        }
        path
    }

    fn body_namespace(&self, namespace: &Namespace) -> Option<String> {
        (!self.is_implicit(namespace.as_str())).then(|| namespace.to_string())
    }

    async fn mutate<B: serde::Serialize>(
        &self,
        (method, path, body): (Method, &str, &B),
        (kind, name): (&'static str, &(dyn std::fmt::Display + Sync)),
    ) -> Result<Answer, ProviderError> {
        self.client.call(method, path, Some(body)).await?.expect(CHANGED, kind, &name.to_string())
    }

    /// Clients write a secret's namespace into the body; some servers read it from the query when one is removed.
    async fn change_secret(&self, method: Method, id: &SecretId, body: Secret) -> Result<(), ProviderError> {
        let body = Secret { namespace: self.body_namespace(&id.namespace), ..body };
        let path = self.with_namespace("/system/secrets".to_owned(), &id.namespace);
        self.mutate((method, &path, &body), ("secret", id)).await.map(drop)
    }

    async fn change_namespace(
        &self,
        (method, path): (Method, &str),
        spec: NamespaceSpec,
    ) -> Result<(), ProviderError> {
        let name = spec.name.clone();
        let path = format!("/system/namespace/{path}");
        self.mutate((method, &path, &FunctionNamespace::from(spec)), ("namespace", &name)).await.map(drop)
    }
}

/// What servers answer to a change that is made.
const CHANGED: &[u16] = &[200, 201, 202, 204];

#[async_trait]
impl Provider for Remote {
    async fn info(&self) -> Result<ProviderInfo, ProviderError> {
        // A provider's own server answers with the provider's part alone; a gateway wraps it.
        let answer = self.client.call(Method::GET, "/system/info", None::<&()>).await?;
        let answer = answer.expect(&[200], "provider", "")?;
        let bare =
            answer.json::<model::wire::ProviderResponse>().ok().filter(|p| !p.orchestration.is_empty());
        let info = match bare {
            Some(provider) => InfoResponse { provider: Some(provider), ..InfoResponse::default() },
            None => answer.json::<InfoResponse>()?,
        };
        Ok(PlatformInfo::from(info).provider)
    }

    async fn health(&self) -> Result<(), ProviderError> {
        self.client.call(Method::GET, "/healthz", None::<&()>).await?.expect(&[200], "provider", "").map(drop)
    }

    fn routes(&self) -> Arc<RouteTable> {
        Arc::clone(&self.routes)
    }

    async fn resolve(&self, id: &FunctionId) -> Result<Option<Arc<Route>>, ProviderError> {
        match self.get(id).await {
            Ok(status) => self.publish(status),
            Err(ProviderError::NotFound { .. }) => self.routes.retract(id),
            Err(error) => return Err(error),
        }
        Ok(self.routes.get(id))
    }

    async fn deploy(&self, spec: FunctionSpec) -> Result<(), ProviderError> {
        self.deploy_status(Method::POST, spec).await.map(drop)
    }

    async fn update(&self, spec: FunctionSpec) -> Result<(), ProviderError> {
        self.deploy_status(Method::PUT, spec).await.map(drop)
    }

    async fn delete(&self, id: &FunctionId) -> Result<(), ProviderError> {
        let body = DeleteFunctionRequest {
            function_name: Some(id.name.to_string()),
            namespace: self.body_namespace(&id.namespace),
        };
        let path = self.with_namespace("/system/functions".to_owned(), &id.namespace);
        self.mutate((Method::DELETE, &path, &body), ("function", id)).await?;
        self.routes.retract(id);
        Ok(())
    }

    async fn list(&self, namespace: &Namespace) -> Result<Vec<FunctionStatus>, ProviderError> {
        let path = self.with_namespace("/system/functions".to_owned(), namespace);
        let answer = self.client.call(Method::GET, &path, None::<&()>).await?;
        let answer = answer.expect(&[200], "namespace", namespace.as_str())?;
        let list = answer.json::<Option<Vec<FunctionStatusResponse>>>()?.unwrap_or_default();
        list.into_iter().map(|status| into_status(status, namespace)).collect()
    }

    async fn get(&self, id: &FunctionId) -> Result<FunctionStatus, ProviderError> {
        let path = self.with_namespace(format!("/system/function/{}", id.name), &id.namespace);
        self.status(&path, id).await
    }

    async fn scale(&self, id: &FunctionId, replicas: u32) -> Result<(), ProviderError> {
        let body = ScaleServiceRequest {
            service_name: Some(id.name.to_string()),
            replicas: Some(replicas.into()),
            namespace: self.body_namespace(&id.namespace),
        };
        let path = self.with_namespace(format!("/system/scale-function/{}", id.name), &id.namespace);
        self.mutate((Method::POST, &path, &body), ("function", id)).await.map(drop)
    }

    async fn namespaces(&self) -> Result<Vec<Namespace>, ProviderError> {
        let answer = self.client.call(Method::GET, "/system/namespaces", None::<&()>).await?;
        if matches!(answer.status, 404 | 501) {
            return Ok(vec![self.namespace.clone()]);
        }
        let names =
            answer.expect(&[200], "namespaces", "")?.json::<Option<Vec<String>>>()?.unwrap_or_default();
        let names: Vec<Namespace> = names.iter().filter_map(|name| Namespace::parse(name).ok()).collect();
        Ok(if names.is_empty() { vec![self.namespace.clone()] } else { names })
    }

    async fn usage(&self, id: &FunctionId) -> Result<Usage, ProviderError> {
        self.get_with_usage(id).await?.usage.ok_or(ProviderError::Unsupported("usage"))
    }

    async fn namespace(&self, name: &Namespace) -> Result<NamespaceSpec, ProviderError> {
        let path = format!("/system/namespace/{name}");
        let answer = self.client.call(Method::GET, &path, None::<&()>).await?;
        let told = answer.expect(&[200], "namespace", name.as_str())?.json::<FunctionNamespace>()?;
        Ok(told.told(name))
    }

    async fn create_namespace(&self, spec: NamespaceSpec) -> Result<(), ProviderError> {
        self.change_namespace((Method::POST, ""), spec).await
    }

    async fn update_namespace(&self, spec: NamespaceSpec) -> Result<(), ProviderError> {
        let path = spec.name.to_string();
        self.change_namespace((Method::PUT, &path), spec).await
    }

    async fn delete_namespace(&self, name: &Namespace) -> Result<(), ProviderError> {
        // Some servers remove only what the body says is a namespace for functions.
        self.change_namespace((Method::DELETE, name.as_str()), NamespaceSpec::marked(name.clone())).await
    }

    async fn secrets(&self, namespace: &Namespace) -> Result<Vec<SecretName>, ProviderError> {
        let path = self.with_namespace("/system/secrets".to_owned(), namespace);
        let answer = self.client.call(Method::GET, &path, None::<&()>).await?;
        let answer = answer.expect(&[200, 202], "namespace", namespace.as_str())?;
        let listed = answer.json::<Option<Vec<Secret>>>()?.unwrap_or_default();
        // A name that is none of ours cannot be asked for either.
        let mut names: Vec<_> = listed.iter().filter_map(|secret| secret.parse_name().ok()).collect();
        names.sort();
        Ok(names)
    }

    async fn create_secret(&self, id: SecretId, value: SecretValue) -> Result<(), ProviderError> {
        self.change_secret(Method::POST, &id, Secret::with_value(&id, &value)).await
    }

    async fn update_secret(&self, id: SecretId, value: SecretValue) -> Result<(), ProviderError> {
        self.change_secret(Method::PUT, &id, Secret::with_value(&id, &value)).await
    }

    async fn delete_secret(&self, id: &SecretId) -> Result<(), ProviderError> {
        self.change_secret(Method::DELETE, id, Secret::named(&id.name)).await
    }

    async fn logs(&self, query: LogQuery) -> Result<LogStream, ProviderError> {
        let path = self.with_namespace(logs::path(&query), &query.function.namespace);
        match self.client.open(&path).await? {
            Ok(body) => Ok(logs::lines(body, query)),
            Err(answer) => {
                let refused = answer.expect(&[], "function", &query.function.to_string());
                Err(refused.err().unwrap_or(ProviderError::Unsupported("logs")))
            }
        }
    }
}

#[async_trait]
impl Invoke for Remote {
    async fn invoke(&self, call: Call) -> Result<Response<Body>, InvokeError> {
        self.client.invoke("function", call).await
    }
}

fn into_status(wire: FunctionStatusResponse, namespace: &Namespace) -> Result<FunctionStatus, ProviderError> {
    wire.into_status(namespace).map_err(|e| ProviderError::backend("read a function's status", e))
}
