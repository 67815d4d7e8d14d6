//! The gateway as a command sees it: where it is, who we are there, and what its refusals mean to a user.

mod address;
mod credentials;
mod local;
pub mod logins;

use std::future::Future;
use std::time::Duration;

use model::{FunctionId, Namespace};
use provider::{Credentials, InvokeError, ProviderError, Remote, RemoteConfig};

use crate::error::Failure;
use crate::flags::GatewayFlags;
use crate::printer;

pub use self::address::Gateway;

/// Bound on one management call.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(60);

pub struct Connection {
    pub gateway: Gateway,
    pub remote: Remote,
    /// Where functions are when nobody says.
    pub namespace: Namespace,
    namespace_stated: bool,
    has_credentials: bool,
}

/// How to connect beyond what the flags say.
pub struct ConnectOptions {
    pub timeout: Duration,
    /// Credentials to use in place of any that are saved.
    pub credentials: Option<Credentials>,
    /// Somebody named a namespace, so it is sent even when it is the usual default.
    pub namespace_stated: bool,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self { timeout: CALL_TIMEOUT, credentials: None, namespace_stated: false }
    }
}

impl Connection {
    /// Settles address and credentials; nothing is sent yet.
    pub fn new(
        flags: &GatewayFlags,
        stack_gateway: Option<&str>,
        options: ConnectOptions,
    ) -> Result<Self, Failure> {
        let gateway = Gateway::resolve_here(flags.gateway.as_deref(), stack_gateway)?;
        let credentials = match options.credentials {
            Some(credentials) => Some(credentials),
            None => credentials::find(flags.token.as_deref(), &gateway)?,
        };
        let has_credentials = credentials.is_some();
        let namespace = Namespace::default();
        let remote = Remote::new(RemoteConfig {
            credentials,
            tls_no_verify: flags.tls_no_verify,
            timeout: options.timeout,
            namespace: namespace.clone(),
            namespace_implicit: !options.namespace_stated,
            ..RemoteConfig::new(gateway.as_str())
        });
        let remote = remote.map_err(|error| Failure::usage(with_source(&error)))?;
        Ok(Self { gateway, remote, namespace, namespace_stated: options.namespace_stated, has_credentials })
    }

    /// Says so when what we send can be read on its way.
    pub fn warn_without_tls(&self) {
        if !self.gateway.is_private() {
            printer::warn(format_args!(
                "{} is not encrypted; anyone on the way can read the password; use https",
                self.gateway
            ));
        }
    }

    /// What a management call's failure means to whoever typed the command.
    pub fn failure(&self, error: ProviderError) -> Failure {
        Failure::general(match error {
            ProviderError::NotFound { kind: "function", name } => {
                let unstated = format!(".{}", self.namespace);
                let short = name.strip_suffix(&unstated).filter(|_| !self.namespace_stated);
                format!("No such function: {}", short.unwrap_or(&name))
            }
            ProviderError::Denied(_) if self.has_credentials => format!(
                "{gateway} does not accept these credentials; run: minke login --gateway {gateway}",
                gateway = self.gateway
            ),
            ProviderError::Denied(_) => format!(
                "{gateway} asks for credentials; run: minke login --gateway {gateway}",
                gateway = self.gateway
            ),
            ProviderError::Unavailable { what, source } if what == self.gateway.as_str() => {
                self.unreachable(source.as_deref().map(|e| e as &dyn std::error::Error))
            }
            error => error.chain(),
        })
    }

    pub fn invoke_failure(&self, error: InvokeError) -> Failure {
        Failure::general(match &error {
            InvokeError::Connect { source, .. } => self.unreachable(Some(source)),
            error => with_source(error),
        })
    }

    fn unreachable(&self, cause: Option<&(dyn std::error::Error + 'static)>) -> String {
        let cause = cause.map(root_cause).map(|cause| format!(": {cause}")).unwrap_or_default();
        format!(
            "cannot reach the gateway at {}{cause}; start it with `minke up`, or name another with --gateway",
            self.gateway
        )
    }

    /// As URLs and output write a function: with its namespace when somebody named one.
    pub fn function_url(&self, route: &str, id: &FunctionId, with_namespace: bool) -> String {
        match with_namespace {
            true => format!("{}/{route}/{id}", self.gateway),
            false => format!("{}/{route}/{}", self.gateway, id.name),
        }
    }
}

/// Runs a client command: one thread, no more than it needs.
pub fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
    let runtime = runtime.map_err(|e| Failure::general(format_args!("failed to start the client: {e}")))?;
    let answer = runtime.block_on(work);
    runtime.shutdown_background();
    answer
}

fn with_source(error: &(dyn std::error::Error + 'static)) -> String {
    match error.source() {
        Some(_) => format!("{error}: {}", root_cause(error)),
        None => error.to_string(),
    }
}

/// The innermost cause; what wraps it names our own parts, which tells a user nothing.
fn root_cause<'a>(error: &'a (dyn std::error::Error + 'static)) -> &'a (dyn std::error::Error + 'static) {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause
}
