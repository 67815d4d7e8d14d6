//! `/system/functions` and `/system/function/{name}`.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use model::wire::{DeleteFunctionRequest, FunctionDeployment, FunctionStatusResponse};
use model::{FunctionId, FunctionSpec, FunctionStatus, Usage};
use provider::ProviderError;
use tokio::time::timeout;

use super::{Asked, Reply, function_id, json};
use crate::error::ApiError;

/// Longest that a status waits for the usage in it.
const USAGE_MAX: Duration = Duration::from_secs(5);

pub(super) async fn list(asked: Asked<'_>) -> Reply {
    let namespace = asked.namespace(None)?;
    let statuses = asked.gateway.provider.list(&namespace).await?;
    let counted = |status: FunctionStatus| {
        let invocations = asked.gateway.metrics.invocations(&status.spec.id);
        FunctionStatusResponse::from(FunctionStatus { invocations, usage: None, ..status })
    };
    json(&statuses.into_iter().map(counted).collect::<Vec<_>>())
}

pub(super) async fn deploy(mut asked: Asked<'_>) -> Reply {
    let spec = spec(&mut asked).await?;
    let (provider, pipeline) = (Arc::clone(&asked.gateway.provider), Arc::clone(&asked.gateway.pipeline));
    let deploy = async move {
        let id = spec.id.clone();
        provider.deploy(spec).await?;
        pipeline.expect(&id);
        Ok(())
    };
    asked.carry_out(StatusCode::ACCEPTED, deploy).await
}

pub(super) async fn update(mut asked: Asked<'_>) -> Reply {
    let spec = spec(&mut asked).await?;
    let provider = Arc::clone(&asked.gateway.provider);
    asked.carry_out(StatusCode::ACCEPTED, async move { provider.update(spec).await }).await
}

pub(super) async fn delete(mut asked: Asked<'_>) -> Reply {
    let body: DeleteFunctionRequest = asked.json().await?;
    let namespace = asked.namespace(body.namespace.as_deref())?;
    let id = function_id("functionName", &body.function_name.unwrap_or_default(), namespace)?;
    let provider = Arc::clone(&asked.gateway.provider);
    asked.carry_out(StatusCode::ACCEPTED, async move { provider.delete(&id).await }).await
}

pub(super) async fn get(asked: Asked<'_>, name: &str) -> Reply {
    let namespace = asked.namespace(None)?;
    // A name that no function can have is one that is not there.
    let id = function_id("name", name, namespace).map_err(|_| ApiError::NoStatus)?;
    let mut status = match asked.gateway.provider.get(&id).await {
        Err(ProviderError::NotFound { .. }) => return Err(ApiError::NoStatus),
        status => status?,
    };
    // Asked for alone: it may take a provider long, and a status is worth having without it.
    status.usage = match asked.query.usage {
        true => usage(&asked, &id).await,
        false => None,
    };
    json(&FunctionStatusResponse::from(FunctionStatus { invocations: 0, ..status }))
}

async fn usage(asked: &Asked<'_>, id: &FunctionId) -> Option<Usage> {
    let usage = timeout(USAGE_MAX, asked.gateway.provider.usage(id)).await.ok()?;
    usage
        .inspect_err(|error| tracing::debug!(function = %id, error = error.chain(), "usage is not known"))
        .ok()
}

async fn spec(asked: &mut Asked<'_>) -> Result<FunctionSpec, ApiError> {
    let mut body: FunctionDeployment = asked.json().await?;
    let namespace = asked.namespace(body.namespace.as_deref())?;
    body.namespace = None;
    body.into_spec(&namespace).map_err(|error| ApiError::Invalid(error.to_string()))
}
