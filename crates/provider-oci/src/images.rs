//! Where images come from.

use async_trait::async_trait;
use image::{Image, ImageError, PullOptions, Store};
use model::image::{Digest, ImageRef};

/// Finds images.
#[async_trait]
pub trait Images: Send + Sync + 'static {
    /// What the name means now.
    async fn find(&self, reference: &ImageRef) -> Result<Image, ImageError>;

    /// What the name meant when its function was accepted.
    async fn find_again(&self, reference: &ImageRef, digest: &Digest) -> Result<Image, ImageError>;
}

/// The store of this host, and behind it the registries.
#[derive(Debug, Clone)]
pub struct StoreImages {
    pub store: Store,
    pub pull: PullOptions,
}

#[async_trait]
impl Images for StoreImages {
    /// A name that is in the store is not asked for elsewhere: what was built or imported here is meant.
    async fn find(&self, reference: &ImageRef) -> Result<Image, ImageError> {
        match self.resolve(reference.clone()).await? {
            Some(image) => Ok(image),
            None => {
                tracing::info!(image = %reference, "image is pulled");
                self.store.pull(reference, &self.pull).await.map(|pulled| pulled.image)
            }
        }
    }

    async fn find_again(&self, reference: &ImageRef, digest: &Digest) -> Result<Image, ImageError> {
        if let Some(image) = self.resolve(reference.with_digest(digest.clone())).await? {
            return Ok(image);
        }
        let image = self.find(reference).await?;
        if image.digest != *digest {
            tracing::warn!(image = %reference, accepted = %digest, found = %image.digest, "image has another content now");
        }
        Ok(image)
    }
}

impl StoreImages {
    async fn resolve(&self, reference: ImageRef) -> Result<Option<Image>, ImageError> {
        let store = self.store.clone();
        let resolved = tokio::task::spawn_blocking(move || store.resolve(&reference)).await;
        resolved.map_err(|_| ImageError::Stopped)?
    }
}
