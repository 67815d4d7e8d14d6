//! Namespaces as the platform's users manage them.

use std::sync::Arc;

use model::{Namespace, NamespaceSpec};
use provider::ProviderError;

use super::NamespaceError;
use crate::{Inner, OciError, blocking, secrets};

pub fn get(inner: &Inner, name: &Namespace) -> Result<NamespaceSpec, ProviderError> {
    inner.namespaces.get(name).ok_or_else(|| not_found(name))
}

pub async fn create(inner: &Arc<Inner>, spec: NamespaceSpec) -> Result<(), ProviderError> {
    let shared = Arc::clone(inner);
    done("create the namespace", blocking(move || shared.namespaces.create(spec)).await)
}

pub async fn update(inner: &Arc<Inner>, spec: NamespaceSpec) -> Result<(), ProviderError> {
    let shared = Arc::clone(inner);
    done("update the namespace", blocking(move || shared.namespaces.update(spec)).await)
}

pub async fn delete(inner: &Arc<Inner>, name: Namespace) -> Result<(), ProviderError> {
    let _alone = inner.references.write().await;
    get(inner, &name)?;
    if name != *inner.namespaces.default() {
        check_empty(inner, &name).await?;
    }
    let shared = Arc::clone(inner);
    let removed = blocking(move || {
        shared.namespaces.remove(&name)?;
        shared.host.secrets.remove_namespace(&name);
        Ok(())
    });
    done("remove the namespace", removed.await)
}

async fn check_empty(inner: &Inner, name: &Namespace) -> Result<(), ProviderError> {
    let held = if inner.functions().keys().any(|id| id.namespace == *name) {
        "functions"
    } else if !secrets::manage::list(inner, name).await?.is_empty() {
        "secrets"
    } else {
        return Ok(());
    };
    Err(ProviderError::Invalid(format!("namespace {name} holds {held}; remove them first")))
}

fn done<T>(
    operation: &'static str,
    result: Result<Result<T, NamespaceError>, OciError>,
) -> Result<T, ProviderError> {
    let error = match result {
        Ok(Ok(value)) => return Ok(value),
        Ok(Err(error)) => error,
        Err(stopped) => return Err(ProviderError::backend(operation, stopped)),
    };
    Err(match error {
        NamespaceError::Missing(name) => not_found(&name),
        NamespaceError::Exists(name) => {
            ProviderError::AlreadyExists { kind: "namespace", name: name.to_string() }
        }
        NamespaceError::Default(_) | NamespaceError::TooMany | NamespaceError::TooLarge(_) => {
            ProviderError::Invalid(error.to_string())
        }
        NamespaceError::File(error) => ProviderError::backend(operation, error),
    })
}

fn not_found(name: &Namespace) -> ProviderError {
    ProviderError::NotFound { kind: "namespace", name: name.to_string() }
}
