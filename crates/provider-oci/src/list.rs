//! What there is.

use model::{FunctionId, FunctionStatus, Namespace};
use provider::ProviderError;

use crate::{Inner, Wish};

pub fn list(inner: &Inner, namespace: &Namespace) -> Result<Vec<FunctionStatus>, ProviderError> {
    inner.check_namespace(namespace)?;
    let functions = inner.functions();
    Ok(functions
        .iter()
        .filter(|(id, _)| id.namespace == *namespace)
        .map(|(_, function)| status(inner, &function.plan.borrow().wish))
        .collect())
}

pub fn get(inner: &Inner, id: &FunctionId) -> Result<FunctionStatus, ProviderError> {
    Ok(status(inner, &inner.plan(id)?.wish))
}

fn status(inner: &Inner, wish: &Wish) -> FunctionStatus {
    let available = inner.routes.get(&wish.spec.id).map_or(0, |route| route.endpoints.len());
    FunctionStatus {
        spec: wish.spec.clone(),
        replicas: wish.replicas,
        available: u32::try_from(available).unwrap_or(u32::MAX),
        created_at: wish.created_at,
        invocations: 0,
        usage: None,
    }
}
