//! `/system/namespaces` and `/system/namespace/{name}`.

use std::sync::Arc;

use http::StatusCode;
use model::wire::FunctionNamespace;
use model::{Namespace, SpecError};

use super::{Asked, Reply, json};
use crate::Inner;
use crate::error::ApiError;

pub(super) async fn list(gateway: &Inner) -> Reply {
    let namespaces = gateway.provider.namespaces().await?;
    json(&namespaces.iter().map(Namespace::as_str).collect::<Vec<_>>())
}

pub(super) async fn get(asked: Asked<'_>, path: &str) -> Reply {
    // A name that no namespace can have is one that is not there.
    let name = Namespace::parse(path).map_err(|_| ApiError::NoStatus)?;
    json(&FunctionNamespace::from(asked.gateway.provider.namespace(&name).await?))
}

/// Clients name it in the body, and leave the path's end empty.
pub(super) async fn create(mut asked: Asked<'_>, path: &str) -> Reply {
    let spec = wished(&mut asked, path).await?.into_spec().map_err(invalid)?;
    let provider = Arc::clone(&asked.gateway.provider);
    asked.carry_out(StatusCode::CREATED, async move { provider.create_namespace(spec).await }).await
}

pub(super) async fn update(mut asked: Asked<'_>, path: &str) -> Reply {
    named(path)?;
    let spec = wished(&mut asked, path).await?.into_spec().map_err(invalid)?;
    let provider = Arc::clone(&asked.gateway.provider);
    asked.carry_out(StatusCode::ACCEPTED, async move { provider.update_namespace(spec).await }).await
}

/// The body says once more what is to be removed; one that is left out contradicts nothing.
pub(super) async fn delete(mut asked: Asked<'_>, path: &str) -> Reply {
    let name = named(path)?;
    let body: Option<FunctionNamespace> = asked.json_if_any().await?;
    body.unwrap_or_default().check_removal(&name).map_err(invalid)?;
    let provider = Arc::clone(&asked.gateway.provider);
    asked.carry_out(StatusCode::ACCEPTED, async move { provider.delete_namespace(&name).await }).await
}

/// What the body asks for, under the name that body and path, or one of them, tell.
async fn wished(asked: &mut Asked<'_>, path: &str) -> Result<FunctionNamespace, ApiError> {
    let mut body: FunctionNamespace = asked.json().await?;
    body.check_name(path).map_err(invalid)?;
    if !path.is_empty() {
        body.name = Some(path.to_owned());
    }
    Ok(body)
}

fn named(path: &str) -> Result<Namespace, ApiError> {
    Namespace::parse(path).map_err(|error| ApiError::Invalid(format!("name: {error}")))
}

fn invalid(error: SpecError) -> ApiError {
    ApiError::Invalid(error.to_string())
}
