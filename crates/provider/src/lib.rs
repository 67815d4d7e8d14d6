//! The two traits that everything meets at: [`Provider`], where functions run, and [`Invoke`], what answers a call.
//!
//! A provider is closed under HTTP: the gateway serves any `Provider` as the REST API, and [`Remote`] turns that API
//! back into a `Provider`. So one conformance suite ([`conformance`]) holds every backend, the API and its client.

pub mod body;
mod call;
#[cfg(feature = "conformance")]
pub mod conformance;
mod echo;
mod endpoint;
mod error;
pub mod http1;
pub mod http2;
mod memory;
#[cfg(feature = "remote")]
mod remote;
mod route;

use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::Stream;
use model::{
    FunctionId, FunctionSpec, FunctionStatus, LogLine, LogQuery, Namespace, NamespaceSpec, ProviderInfo,
    SecretId, SecretName, SecretValue, Usage,
};

pub use body::{Body, BodyRefused, BoxError, Progress, Received};
pub use call::{Call, CallId};
pub use echo::{Echo, echo};
pub use endpoint::{Endpoint, HttpReplica, InFlight};
pub use error::{InvokeError, ProviderError};
pub use http2::Http2Replica;
pub use memory::Memory;
#[cfg(feature = "remote")]
pub use remote::{Credentials, DeployAnswer, Remote, RemoteConfig, RemoteError};
pub use route::{Budget, Place, Route, RouteTable};

/// Where functions run. What a method answers is durable when it returns: a crash after it loses nothing.
#[async_trait]
pub trait Provider: Send + Sync + 'static {
    async fn info(&self) -> Result<ProviderInfo, ProviderError>;

    /// Ready to take requests; the gateway's `/healthz` asks this.
    async fn health(&self) -> Result<(), ProviderError> {
        Ok(())
    }

    /// Where the calls go, kept current by the provider; the call path reads this and asks the provider nothing.
    fn routes(&self) -> Arc<RouteTable>;

    /// Looks a function up that the table does not hold. Providers that see every change have nothing to add.
    async fn resolve(&self, id: &FunctionId) -> Result<Option<Arc<Route>>, ProviderError> {
        Ok(self.routes().get(id))
    }

    /// Creates a function with the replicas that its `min` label asks for, else one.
    /// Fails with `AlreadyExists`; with `Invalid` when the spec cannot be met here; neither changes anything.
    async fn deploy(&self, spec: FunctionSpec) -> Result<(), ProviderError>;

    /// Replaces the spec of a function; the replica count stays unless the `min` label sets it.
    async fn update(&self, spec: FunctionSpec) -> Result<(), ProviderError>;

    async fn delete(&self, id: &FunctionId) -> Result<(), ProviderError>;

    /// The functions of one namespace, by name.
    async fn list(&self, namespace: &Namespace) -> Result<Vec<FunctionStatus>, ProviderError>;

    async fn get(&self, id: &FunctionId) -> Result<FunctionStatus, ProviderError>;

    /// Wishes for `replicas`; zero is a count like any other.
    async fn scale(&self, id: &FunctionId, replicas: u32) -> Result<(), ProviderError>;

    /// What the replicas of a function use now, together.
    async fn usage(&self, _id: &FunctionId) -> Result<Usage, ProviderError> {
        Err(ProviderError::Unsupported("usage"))
    }

    /// The namespaces that functions may live in; the default one first.
    async fn namespaces(&self) -> Result<Vec<Namespace>, ProviderError>;

    async fn namespace(&self, _name: &Namespace) -> Result<NamespaceSpec, ProviderError> {
        Err(ProviderError::Unsupported("namespace"))
    }

    /// Fails with `AlreadyExists`.
    async fn create_namespace(&self, _spec: NamespaceSpec) -> Result<(), ProviderError> {
        Err(ProviderError::Unsupported("creating a namespace"))
    }

    /// Replaces labels and annotations.
    async fn update_namespace(&self, _spec: NamespaceSpec) -> Result<(), ProviderError> {
        Err(ProviderError::Unsupported("updating a namespace"))
    }

    /// Fails with `Invalid` when functions or secrets are in it, and for the default one.
    async fn delete_namespace(&self, _name: &Namespace) -> Result<(), ProviderError> {
        Err(ProviderError::Unsupported("deleting a namespace"))
    }

    /// The secrets of one namespace, by name.
    async fn secrets(&self, _namespace: &Namespace) -> Result<Vec<SecretName>, ProviderError> {
        Err(ProviderError::Unsupported("secrets"))
    }

    /// Fails with `AlreadyExists`.
    async fn create_secret(&self, _id: SecretId, _value: SecretValue) -> Result<(), ProviderError> {
        Err(ProviderError::Unsupported("creating a secret"))
    }

    /// Replaces the value; replicas that start later read it.
    async fn update_secret(&self, _id: SecretId, _value: SecretValue) -> Result<(), ProviderError> {
        Err(ProviderError::Unsupported("updating a secret"))
    }

    /// Fails with `Invalid` when a function names it.
    async fn delete_secret(&self, _id: &SecretId) -> Result<(), ProviderError> {
        Err(ProviderError::Unsupported("deleting a secret"))
    }

    /// What the replicas wrote, the oldest first; ends after the last line unless it is to follow. Fails at once with
    /// `NotFound` when there is no such function.
    async fn logs(&self, _query: LogQuery) -> Result<LogStream, ProviderError> {
        Err(ProviderError::Unsupported("logs"))
    }
}

/// Lines as they are asked for; dropping it ends the asking.
pub type LogStream = Pin<Box<dyn Stream<Item = Result<LogLine, ProviderError>> + Send>>;

/// Something that answers one call: the gateway's pipeline, one replica, a queue (whose answer is 202), a remote.
#[async_trait]
pub trait Invoke: Send + Sync + 'static {
    async fn invoke(&self, call: Call) -> Result<http::Response<Body>, InvokeError>;
}
