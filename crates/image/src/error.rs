//! What can go wrong with an image, worded for the person who named it.

use std::io;
use std::path::{Path, PathBuf};

use model::image::{Digest, ImageRef, ImageRefError};

use crate::build::BuildError;
use crate::unpack::UnpackError;

/// A failure of the store, a pull, an import or a build. Nothing half-done stays behind it.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    #[error(transparent)]
    Reference(#[from] ImageRefError),
    #[error("image {image} is not in the local store; pull, import or build it first")]
    NotFound { image: ImageRef },
    #[error("registry {} has no image {image}; check the name and the tag, or log in when it is private", image.registry())]
    NotInRegistry { image: ImageRef },
    #[error(
        "registry {} refused access to {image}; check the name, or put credentials into docker's config.json with `docker login`",
        image.registry()
    )]
    Unauthorized { image: ImageRef },
    #[error("cannot reach registry {} for {image}; check the host name, the network and any proxy; one that speaks plain HTTP has to be listed as insecure", image.registry())]
    Unreachable {
        image: Box<ImageRef>,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("registry {} answered {status} for {image}: {message}", image.registry())]
    RegistryAnswer { image: Box<ImageRef>, status: u16, message: String },
    #[error("pull of {image} took longer than {seconds} s; try again, layers already here are kept")]
    Timeout { image: ImageRef, seconds: u64 },
    #[error("cannot use credentials for registry {registry}: {reason}")]
    Credentials { registry: String, reason: String },
    #[error("{image} has no variant for {wanted}; it is offered for {offered}")]
    Platform { image: String, wanted: String, offered: String },
    #[error(
        "content of {what} is corrupt: expected {expected}, got {actual}; try again or rebuild the image"
    )]
    Corrupt { what: String, expected: String, actual: String },
    #[error("{what} is larger than the limit of {max} bytes")]
    TooLarge { what: String, max: u64 },
    #[error("{what} is not usable: {reason}")]
    Invalid { what: String, reason: String },
    #[error("{what} is not supported: {reason}")]
    Unsupported { what: String, reason: String },
    #[error("layer {layer} was refused")]
    Layer {
        layer: String,
        #[source]
        source: UnpackError,
    },
    #[error("{what} is missing from the store; pull or import the image again")]
    BlobMissing { what: Digest },
    #[error("archive holds no image name; give one")]
    NameMissing,
    #[error("failed to {action} {}", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error("the image work was stopped, the program is shutting down")]
    Stopped,
}

impl ImageError {
    /// Whether the registry said nothing of the image, so that it may be as it was.
    pub fn is_silence(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Timeout { .. } => true,
            Self::RegistryAnswer { status, .. } => *status == 429 || *status >= 500,
            _ => false,
        }
    }

    pub(crate) fn invalid(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Invalid { what: what.into(), reason: reason.into() }
    }

    pub(crate) fn unsupported(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Unsupported { what: what.into(), reason: reason.into() }
    }
}

/// Names the deed and the path of an I/O error.
pub(crate) trait IoContext<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, ImageError>;
}

impl<T, E: Into<io::Error>> IoContext<T> for Result<T, E> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, ImageError> {
        self.map_err(|source| ImageError::Io { action, path: path.to_owned(), source: source.into() })
    }
}
