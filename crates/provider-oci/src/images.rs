//! Where images come from.

use async_trait::async_trait;
use image::{Image, ImageError, Store};
use model::image::{Digest, ImageRef};

/// Finds images, in the store or, where it can, in a registry.
#[async_trait]
pub trait Images: Send + Sync + 'static {
    /// What the name means now: the store is asked first.
    async fn find(&self, reference: &ImageRef) -> Result<Image, ImageError>;

    /// What the name meant when its function was accepted.
    async fn find_again(&self, reference: &ImageRef, digest: &Digest) -> Result<Image, ImageError> {
        let found = self.find(reference).await?;
        if found.digest != *digest {
            tracing::warn!(image = %reference, accepted = %digest, found = %found.digest, "image has another content now");
        }
        Ok(found)
    }
}

/// A store alone: what is not in it is not found.
#[async_trait]
impl Images for Store {
    async fn find(&self, reference: &ImageRef) -> Result<Image, ImageError> {
        let (store, wanted) = (self.clone(), reference.clone());
        let found = tokio::task::spawn_blocking(move || store.resolve(&wanted).map_err(Box::new)).await;
        let found = found.map_err(|_| ImageError::Stopped)?.map_err(|error| *error)?;
        found.ok_or_else(|| ImageError::NotFound { image: reference.clone() })
    }
}
