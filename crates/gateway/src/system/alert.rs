//! `/system/alert`: AlertManager tells that functions are called much, or no more.

use std::sync::Arc;

use http::Response;
use model::scale::alert::replicas;
use model::wire::{Alert, AlertRequest};
use model::{FunctionId, Namespace};
use provider::{Body, Provider, ProviderError};

use super::{Asked, Reply};
use crate::error::ApiError;

pub(super) async fn alert(mut asked: Asked<'_>) -> Reply {
    let body: AlertRequest = asked.json().await?;
    let (provider, namespace) = (Arc::clone(&asked.gateway.provider), asked.namespace(None)?);
    let scaled = asked.gateway.tasks.spawn(async move {
        let mut failures = Vec::new();
        for alert in body.alerts.unwrap_or_default() {
            if let Err(failure) = scale(&*provider, &alert, body.status.as_deref(), &namespace).await {
                failures.push(failure);
            }
        }
        failures
    });
    let failures = scaled.await.map_err(|_| ApiError::Aborted)?;
    if failures.is_empty() {
        return Ok(Response::new(Body::Empty));
    }
    Err(ProviderError::backend("scale as the alerts ask", failures.join("; ")).into())
}

/// An alert of no function, or of one that is not there, is nothing to fail at.
async fn scale(
    provider: &dyn Provider,
    alert: &Alert,
    group: Option<&str>,
    namespace: &Namespace,
) -> Result<(), String> {
    let name = alert.labels.as_ref().and_then(|labels| labels.get("function_name"));
    let Some(id) = name.and_then(|name| FunctionId::parse(name, namespace).ok()) else { return Ok(()) };
    let failed = |error: ProviderError| match error {
        ProviderError::NotFound { .. } => Ok(()),
        error => Err(format!("{id}: {}", error.chain())),
    };
    let status = match provider.get(&id).await {
        Ok(status) => status,
        Err(error) => return failed(error),
    };
    let firing = alert.status.as_deref().or(group) == Some("firing");
    let wished = replicas(&status.spec.labels, status.replicas, firing);
    if wished == status.replicas {
        return Ok(());
    }
    tracing::info!(function = %id, from = status.replicas, to = wished, firing, "an alert scales a function");
    provider.scale(&id, wished).await.or_else(failed)
}
