//! `/system/scale-function/{name}`.

use std::sync::Arc;

use http::StatusCode;
use model::scale::REPLICAS_MAX;
use model::wire::ScaleServiceRequest;

use super::{Asked, Reply, function_id};
use crate::error::ApiError;

pub(super) async fn scale(mut asked: Asked<'_>, name: &str) -> Reply {
    let body: ScaleServiceRequest = asked.json().await?;
    let namespace = asked.namespace(body.namespace.as_deref())?;
    let id = function_id("name", name, namespace)?;
    if let Some(other) = body.service_name.filter(|other| !other.is_empty() && *other != name) {
        let shown: String = other.chars().take(64).collect();
        return Err(ApiError::Invalid(format!(
            "serviceName: the body says {shown:?} and the path says {name}; say one of them"
        )));
    }
    // Absent is not taken for zero, which would stop the function.
    let replicas = body.replicas.ok_or_else(|| ApiError::Invalid("replicas: is required".into()))?;
    let replicas = u32::try_from(replicas).ok().filter(|count| *count <= REPLICAS_MAX).ok_or_else(|| {
        ApiError::Invalid(format!("replicas: {replicas} are more than the {REPLICAS_MAX} that are allowed"))
    })?;
    let provider = Arc::clone(&asked.gateway.provider);
    asked.carry_out(StatusCode::ACCEPTED, async move { provider.scale(&id, replicas).await }).await
}
