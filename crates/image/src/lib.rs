//! Container images without a daemon: a content-addressed store, pull, import and build.
//!
//! This crate knows nothing of containers. It ends where an [`Image`] gives the lower directories of an overlay mount.

mod build;
mod error;
mod image;
mod import;
mod limits;
mod manifest;
mod pull;
mod store;
mod unpack;

pub use build::{BuildError, BuildOptions, BuiltinFile, BuiltinImage};
pub use error::ImageError;
pub use image::{Image, ImageEntry};
pub use import::ImportOptions;
pub use limits::Limits;
pub use model::image::{Digest, ImageRef, ImageRefError};
pub use pull::{Progress, ProgressFn, PullOptions, PullReport, Pulled, docker_config_path};
pub use store::{RemoveReport, Store, SweepReport};
pub use unpack::{Problem, UnpackError};
