//! Remove a function. When it answers, the function is gone from disk and takes no calls; its replicas drain.

use std::sync::Arc;

use model::FunctionId;
use provider::ProviderError;

use crate::{Function, Inner, blocking};

pub async fn delete(inner: Arc<Inner>, id: FunctionId) -> Result<(), ProviderError> {
    inner.plan(&id)?;
    let (state, gone) = (Arc::clone(&inner), id.clone());
    let removed = blocking(move || state.state.remove(&gone)).await.and_then(|removed| Ok(removed?));
    removed.map_err(|error| ProviderError::backend(format!("remove {id}"), error))?;
    let function = inner.functions().remove(&id);
    if let Some(function) = &function {
        function.end.cancel();
        // A route that the keeper publishes after its removal would stay.
        function.quiet.cancelled().await;
    }
    inner.routes.retract(&id);
    if let Some(Function { log, .. }) = function {
        // The next start sweeps what cannot be removed.
        let _ = blocking(move || log.remove()).await;
    }
    tracing::info!(function = %id, "function removed");
    Ok(())
}
