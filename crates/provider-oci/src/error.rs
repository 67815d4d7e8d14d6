//! How the provider fails to come up, and how images fail it.

use image::ImageError;
use provider::ProviderError;

use crate::durable::FileError;
use crate::launcher::LauncherError;
use crate::namespaces::NamespaceError;
use crate::secrets::SecretsError;
use crate::state::StateError;

/// Why the provider cannot work on this host.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub enum OciError {
    State(#[from] StateError),
    Launcher(#[from] LauncherError),
    File(#[from] FileError),
    Secrets(#[from] SecretsError),
    Namespaces(#[from] NamespaceError),
    #[error("platform is stopping")]
    Stopped,
}

/// An image that cannot be had is the request's fault, unless it is the store's or the network's.
pub fn image(error: ImageError) -> ProviderError {
    match error {
        ImageError::Io { .. } | ImageError::Stopped => ProviderError::backend("find the image", error),
        error => ProviderError::Invalid(chain(&error)),
    }
}

pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
