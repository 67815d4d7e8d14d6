//! Replace a function's spec. The replicas of the old one serve until those of the new one do.

use std::sync::Arc;

use model::FunctionSpec;
use model::scale::min_replicas;
use provider::ProviderError;

use crate::Inner;
use crate::keeper::Plan;
use crate::state::Wish;

pub async fn update(inner: Arc<Inner>, spec: FunctionSpec) -> Result<(), ProviderError> {
    let id = spec.id.clone();
    let Plan { wish: old, image: old_image } = inner.plan(&id)?;
    let replicas = min_replicas(&spec.labels).unwrap_or(old.replicas);
    inner.check_room(&id, replicas)?;
    let image = inner.prepare(&spec).await?;
    let _kept = inner.references.read().await;
    inner.check_references(&spec).await?;
    let wish = Wish {
        replicas,
        created_at: old.created_at,
        generation: old.generation + 1,
        digest: image.digest.clone(),
        spec,
    };
    let runs_already = old_image.is_some_and(|old| old.digest == image.digest);
    if runs_already && (&wish.spec, wish.replicas) == (&old.spec, old.replicas) {
        tracing::debug!(function = %id, "function is as it is to be");
        return Ok(());
    }
    inner.save(&wish).await?;
    tracing::info!(function = %id, image = %wish.spec.image, replicas = wish.replicas, "function updated");
    if let Some(function) = inner.functions().get(&id) {
        function.plan.send_replace(Plan { wish, image: Some(image) });
    }
    Ok(())
}
