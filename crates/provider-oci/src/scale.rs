//! Wish for another count of replicas.

use std::sync::Arc;

use model::FunctionId;
use model::scale::REPLICAS_MAX;
use provider::ProviderError;

use crate::Inner;

pub async fn scale(inner: Arc<Inner>, id: FunctionId, replicas: u32) -> Result<(), ProviderError> {
    if replicas > REPLICAS_MAX {
        return Err(ProviderError::Invalid(format!(
            "{replicas} replicas; at most {REPLICAS_MAX} are allowed"
        )));
    }
    let mut plan = inner.plan(&id)?;
    inner.check_room(&id, replicas)?;
    if plan.wish.replicas == replicas {
        return Ok(());
    }
    plan.wish.replicas = replicas;
    inner.save(&plan.wish).await?;
    tracing::info!(function = %id, replicas, "function scaled");
    if let Some(function) = inner.functions().get(&id) {
        function.plan.send_replace(plan);
    }
    Ok(())
}
