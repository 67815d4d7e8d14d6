//! `/system/secrets`. A value goes in and never comes out: in no answer, no error, no log.

use std::sync::Arc;

use http::StatusCode;
use model::secret::SECRET_MAX;
use model::wire::Secret;
use model::{SecretId, SecretName, SpecError};

use super::{Asked, Reply, json};
use crate::error::ApiError;

/// Clients send the same bytes twice, as base64 and as text; text may write one byte in six.
const BODY_MAX: usize = 8 * SECRET_MAX;

pub(super) async fn list(asked: Asked<'_>) -> Reply {
    let namespace = asked.namespace(None)?;
    let names = asked.gateway.provider.secrets(&namespace).await?;
    // The namespace as the client wrote it, which may be nowhere: `faas-cli secret apply` compares the two.
    let told = asked.query.namespace.as_ref().map(ToString::to_string).unwrap_or_default();
    let listed = |name: SecretName| Secret { namespace: Some(told.clone()), ..Secret::named(&name) };
    json(&names.into_iter().map(listed).collect::<Vec<_>>())
}

pub(super) async fn create(mut asked: Asked<'_>) -> Reply {
    let (id, body) = named(&mut asked).await?;
    let value = body.into_value().map_err(invalid)?;
    let provider = Arc::clone(&asked.gateway.provider);
    asked.carry_out(StatusCode::ACCEPTED, async move { provider.create_secret(id, value).await }).await
}

pub(super) async fn update(mut asked: Asked<'_>) -> Reply {
    let (id, body) = named(&mut asked).await?;
    let value = body.into_value().map_err(invalid)?;
    let provider = Arc::clone(&asked.gateway.provider);
    asked.carry_out(StatusCode::ACCEPTED, async move { provider.update_secret(id, value).await }).await
}

pub(super) async fn delete(mut asked: Asked<'_>) -> Reply {
    let (id, _) = named(&mut asked).await?;
    let provider = Arc::clone(&asked.gateway.provider);
    asked.carry_out(StatusCode::ACCEPTED, async move { provider.delete_secret(&id).await }).await
}

async fn named(asked: &mut Asked<'_>) -> Result<(SecretId, Secret), ApiError> {
    let body: Secret = asked.json_within(BODY_MAX).await?;
    let namespace = asked.namespace(body.namespace.as_deref())?;
    let name = body.parse_name().map_err(|error| ApiError::Unprocessable(error.to_string()))?;
    Ok((SecretId::new(name, namespace), body))
}

fn invalid(error: SpecError) -> ApiError {
    ApiError::Invalid(error.to_string())
}
