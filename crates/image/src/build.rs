//! Build: an image from a Dockerfile, without a daemon and, for now, without RUN.
//!
//! The same Dockerfile, context and bases give the same digest: entries are sorted, owned by root unless told
//! otherwise, and dated by [`BuildOptions::source_date_epoch`].

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use model::image::ImageRef;

use crate::error::ImageError;
use crate::image::Image;
use crate::pull::{PullOptions, blocking};
use crate::store::Store;

mod base;
mod config;
mod copy;
mod dockerfile;
mod execute;
mod glob;
mod ignore;
mod layer;
mod substitute;
mod view;

use dockerfile::Plan;

/// What to build, and from what.
#[derive(Debug, Clone, Default)]
pub struct BuildOptions {
    pub context_dir: PathBuf,
    /// `Dockerfile` in the context, when not given.
    pub dockerfile: Option<PathBuf>,
    /// Names for the result; at least one.
    pub tags: Vec<ImageRef>,
    pub build_args: BTreeMap<String, String>,
    /// The stage to build; the last one, when not given.
    pub target: Option<String>,
    /// Set on the result, over those of the Dockerfile.
    pub labels: BTreeMap<String, String>,
    /// Images that need no store and no registry, by name without tag (`minke/fwatchdog`).
    pub builtin: BTreeMap<String, BuiltinImage>,
    /// How bases are pulled that are not in the store.
    pub pull: PullOptions,
    /// Seconds since 1970 that every file and the image itself are dated with.
    pub source_date_epoch: i64,
}

/// An image that the program carries.
#[derive(Debug, Clone, Default)]
pub struct BuiltinImage {
    pub files: Vec<BuiltinFile>,
}

#[derive(Debug, Clone)]
pub struct BuiltinFile {
    /// Absolute, in the image.
    pub path: String,
    pub mode: u32,
    pub content: Arc<[u8]>,
}

/// Why a Dockerfile was not built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error("Dockerfile line {line}: {message}")]
    Instruction { line: usize, message: String },
    #[error(
        "RUN is not supported yet (Dockerfile line {line}): {command}; build the image with docker or buildah, then \
         push it to a registry or `minke image import` it"
    )]
    Run { line: usize, command: String },
    #[error("Dockerfile line {line} failed")]
    Failed {
        line: usize,
        #[source]
        source: Box<ImageError>,
    },
    #[error("build is not possible: {0}")]
    Options(String),
}

impl Store {
    /// Builds and names an image. Bases come from what is built in, from this store, or from their registry.
    pub async fn build(&self, options: BuildOptions) -> Result<Image, ImageError> {
        let result = self.build_now(options).await;
        if result.is_err() {
            let store = self.clone();
            blocking(move || {
                store.discard_failed();
                Ok(())
            })
            .await?;
        }
        result
    }

    async fn build_now(&self, options: BuildOptions) -> Result<Image, ImageError> {
        if options.tags.is_empty() {
            return Err(BuildError::Options("the image has no name; give it one with a tag".into()).into());
        }
        let options = Arc::new(options);
        let plan = {
            let options = options.clone();
            blocking(move || Plan::read(&options)).await?
        };
        let bases = base::resolve(self, &plan, &options).await?;
        let store = self.clone();
        blocking(move || execute::run(&store, &plan, bases, &options)).await
    }
}
