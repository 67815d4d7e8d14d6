//! Secrets as the platform's users manage them.

use std::sync::Arc;

use model::{FunctionSpec, Namespace, SecretId, SecretName, SecretValue};
use provider::ProviderError;

use super::SecretsError;
use crate::{Inner, blocking};

pub async fn list(inner: &Inner, namespace: &Namespace) -> Result<Vec<SecretName>, ProviderError> {
    inner.check_namespace(namespace)?;
    let (secrets, namespace) = (Arc::clone(&inner.host.secrets), namespace.clone());
    done("list secrets", blocking(move || secrets.list(&namespace)).await)
}

pub async fn create(inner: &Inner, id: SecretId, value: SecretValue) -> Result<(), ProviderError> {
    let _kept = inner.references.read().await;
    inner.check_namespace(&id.namespace)?;
    let secrets = Arc::clone(&inner.host.secrets);
    done("create the secret", blocking(move || secrets.create(&id, &value)).await)
}

pub async fn update(inner: &Inner, id: SecretId, value: SecretValue) -> Result<(), ProviderError> {
    inner.check_namespace(&id.namespace)?;
    let secrets = Arc::clone(&inner.host.secrets);
    done("update the secret", blocking(move || secrets.update(&id, &value)).await)
}

pub async fn delete(inner: &Inner, id: SecretId) -> Result<(), ProviderError> {
    let _alone = inner.references.write().await;
    inner.check_namespace(&id.namespace)?;
    if let Some(function) = inner.user_of(&id) {
        let text = format!("secret {id} is in use by function {function}; update or remove that first");
        return Err(ProviderError::Invalid(text));
    }
    let secrets = Arc::clone(&inner.host.secrets);
    done("remove the secret", blocking(move || secrets.remove(&id)).await)
}

/// Whether the secrets that a function names are there, and small enough for it.
pub async fn check(inner: &Inner, spec: &FunctionSpec) -> Result<(), ProviderError> {
    let ids = named_by(spec).map_err(|error| ProviderError::Invalid(error.to_string()))?;
    if ids.is_empty() {
        return Ok(());
    }
    let secrets = Arc::clone(&inner.host.secrets);
    let bytes = match blocking(move || secrets.check(&ids)).await {
        Ok(Err(error @ SecretsError::Missing(_))) => return Err(ProviderError::Invalid(error.to_string())),
        checked => done("find the secrets", checked)?,
    };
    let limit = spec.limits.memory.as_ref().map(|memory| memory.whole());
    match limit {
        Some(limit) if limit < model::spec::MEMORY_LIMIT_MIN + bytes => Err(ProviderError::Invalid(format!(
            "limits.memory: {limit} bytes are too few beside {bytes} bytes of secrets, which live in memory; raise it"
        ))),
        _ => Ok(()),
    }
}

pub fn named_by(spec: &FunctionSpec) -> Result<Vec<SecretId>, model::SpecError> {
    let id = |name: &String| Ok(SecretId::new(SecretName::parse(name)?, spec.id.namespace.clone()));
    spec.secrets.iter().map(id).collect()
}

fn done<T>(
    operation: &'static str,
    result: Result<Result<T, SecretsError>, crate::OciError>,
) -> Result<T, ProviderError> {
    let error = match result {
        Ok(Ok(value)) => return Ok(value),
        Ok(Err(error)) => error,
        Err(stopped) => return Err(ProviderError::backend(operation, stopped)),
    };
    Err(match error {
        SecretsError::Missing(id) => ProviderError::NotFound { kind: "secret", name: id.to_string() },
        SecretsError::Exists(id) => ProviderError::AlreadyExists { kind: "secret", name: id.to_string() },
        SecretsError::TooMany(_) | SecretsError::TooLarge(_) => ProviderError::Invalid(error.to_string()),
        error => ProviderError::backend(operation, error),
    })
}
