//! Create a function.

use std::sync::Arc;

use jiff::Timestamp;
use model::FunctionSpec;
use model::scale::initial_replicas;
use provider::ProviderError;

use crate::Inner;
use crate::keeper::Plan;
use crate::state::Wish;

pub async fn deploy(inner: Arc<Inner>, spec: FunctionSpec) -> Result<(), ProviderError> {
    inner.check_namespace(&spec.id.namespace)?;
    if inner.functions().contains_key(&spec.id) {
        return Err(ProviderError::function_exists(&spec.id));
    }
    let replicas = initial_replicas(&spec.labels);
    inner.check_room(&spec.id, replicas)?;
    let image = inner.prepare(&spec).await?;
    let _kept = inner.references.read().await;
    inner.check_references(&spec).await?;
    let wish =
        Wish { replicas, created_at: Timestamp::now(), generation: 1, digest: image.digest.clone(), spec };
    inner.save(&wish).await?;
    tracing::info!(function = %wish.spec.id, image = %wish.spec.image, replicas = wish.replicas, "function deployed");
    inner.keep(Plan { wish, image: Some(image) });
    Ok(())
}
