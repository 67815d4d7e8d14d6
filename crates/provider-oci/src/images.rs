//! Where images come from.

use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;
use image::{Image, ImageError, PullOptions, Store};
use model::image::{Digest, ImageRef};

/// How long a registry may take to tell whether a tag has moved.
const ASK_TIME_MAX: Duration = Duration::from_secs(10);

/// Finds images.
#[async_trait]
pub trait Images: Send + Sync + 'static {
    /// What the name means now.
    async fn find(&self, reference: &ImageRef) -> Result<Image, ImageError>;

    /// What the name meant when its function was accepted, if that is on this host. Asks nobody else.
    async fn here(&self, reference: &ImageRef, digest: &Digest) -> Result<Option<Image>, ImageError>;

    /// What the name meant when its function was accepted, or else what it means now.
    async fn find_again(&self, reference: &ImageRef, digest: &Digest) -> Result<Image, ImageError>;

    /// Removes what has no name and is neither `in_use` nor held as a value.
    async fn sweep(&self, in_use: HashSet<Digest>) -> Result<(), ImageError>;
}

/// The store of this host, and behind it the registries.
#[derive(Debug, Clone)]
pub struct StoreImages {
    pub store: Store,
    pub pull: PullOptions,
}

#[async_trait]
impl Images for StoreImages {
    /// What was built or imported here is meant as it is. A tag that was pulled may have moved since, so its registry is
    /// asked again; one that cannot answer is no reason not to run what is here.
    async fn find(&self, reference: &ImageRef) -> Result<Image, ImageError> {
        let here = self.resolve(reference.clone()).await.unwrap_or_else(|error| {
            tracing::warn!(image = %reference, error = &error as &dyn std::error::Error, "image is damaged");
            None
        });
        if let Some(image) = here
            && !self.has_moved(reference, &image).await?
        {
            return Ok(image);
        }
        tracing::info!(image = %reference, "pulling the image");
        self.store.pull(reference, &self.pull).await.map(|pulled| pulled.image)
    }

    async fn here(&self, reference: &ImageRef, digest: &Digest) -> Result<Option<Image>, ImageError> {
        self.resolve(reference.with_digest(digest.clone())).await
    }

    async fn find_again(&self, reference: &ImageRef, digest: &Digest) -> Result<Image, ImageError> {
        if let Some(image) = self.here(reference, digest).await.unwrap_or_default() {
            return Ok(image);
        }
        let image = self.find(reference).await?;
        if image.digest != *digest {
            tracing::warn!(image = %reference, accepted = %digest, found = %image.digest, "image has another content now");
        }
        Ok(image)
    }

    async fn sweep(&self, in_use: HashSet<Digest>) -> Result<(), ImageError> {
        let store = self.store.clone();
        let swept = tokio::task::spawn_blocking(move || store.sweep(&|digest| in_use.contains(digest))).await;
        let report = swept.map_err(|_| ImageError::Stopped)??;
        tracing::debug!(?report, "images swept");
        Ok(())
    }
}

impl StoreImages {
    async fn resolve(&self, reference: ImageRef) -> Result<Option<Image>, ImageError> {
        let store = self.store.clone();
        let resolved = tokio::task::spawn_blocking(move || store.resolve(&reference)).await;
        resolved.map_err(|_| ImageError::Stopped)?
    }

    async fn has_moved(&self, reference: &ImageRef, image: &Image) -> Result<bool, ImageError> {
        let (store, name) = (self.store.clone(), reference.clone());
        let was_pulled = tokio::task::spawn_blocking(move || store.was_pulled(&name)).await;
        if reference.digest().is_some() || !was_pulled.map_err(|_| ImageError::Stopped)?? {
            return Ok(false);
        }
        match self.store.ask(reference, &self.pull, ASK_TIME_MAX).await {
            Ok(digest) => Ok(digest != image.digest),
            Err(error) if error.is_silence() => {
                tracing::warn!(image = %reference, error = &error as &dyn std::error::Error, "registry cannot be asked, the image in the store is taken");
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}
