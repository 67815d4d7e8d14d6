//! `/system/functions` and `/system/function/{name}`.

use std::sync::Arc;

use model::wire::{DeleteFunctionRequest, FunctionDeployment, FunctionStatusResponse};
use model::{FunctionSpec, FunctionStatus};
use provider::ProviderError;

use super::{Asked, Reply, function_id, json};
use crate::error::ApiError;

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
    asked.carry_out(deploy).await
}

pub(super) async fn update(mut asked: Asked<'_>) -> Reply {
    let spec = spec(&mut asked).await?;
    let provider = Arc::clone(&asked.gateway.provider);
    asked.carry_out(async move { provider.update(spec).await }).await
}

pub(super) async fn delete(mut asked: Asked<'_>) -> Reply {
    let body: DeleteFunctionRequest = asked.json().await?;
    let namespace = asked.namespace(body.namespace.as_deref())?;
    let id = function_id("functionName", &body.function_name.unwrap_or_default(), namespace)?;
    let provider = Arc::clone(&asked.gateway.provider);
    asked.carry_out(async move { provider.delete(&id).await }).await
}

pub(super) async fn get(asked: Asked<'_>, name: &str) -> Reply {
    let namespace = asked.namespace(None)?;
    // A name that no function can have is one that is not there.
    let id = function_id("name", name, namespace).map_err(|_| ApiError::NoStatus)?;
    let mut status = match asked.gateway.provider.get(&id).await {
        Err(ProviderError::NotFound { .. }) => return Err(ApiError::NoStatus),
        status => status?,
    };
    if !asked.query.usage {
        status.usage = None;
    }
    json(&FunctionStatusResponse::from(FunctionStatus { invocations: 0, ..status }))
}

async fn spec(asked: &mut Asked<'_>) -> Result<FunctionSpec, ApiError> {
    let mut body: FunctionDeployment = asked.json().await?;
    let namespace = asked.namespace(body.namespace.as_deref())?;
    body.namespace = None;
    body.into_spec(&namespace).map_err(|error| ApiError::Invalid(error.to_string()))
}
