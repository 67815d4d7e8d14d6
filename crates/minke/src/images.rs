//! Images on this machine: the store of the data directory, for the platform and for the commands beside it.

mod local;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use image::{Progress, PullOptions};

pub use self::local::{build, build_folder, failure, open_store, reference};

/// Where the store is.
pub fn folder(data_dir: &Path) -> PathBuf {
    data_dir.join("images")
}

/// How the platform pulls: with the machine's credentials, and telling its log.
pub fn pull_options(insecure_registries: Vec<String>) -> PullOptions {
    let progress = |step: &Progress| match step {
        Progress::Resolved { layers, bytes } => tracing::info!(layers, bytes, "image is found"),
        Progress::Unpacking => tracing::info!("image is unpacked"),
        Progress::Fetching { .. } => {}
    };
    let docker_config = image::docker_config_path(|name| std::env::var_os(name));
    PullOptions { insecure_registries, docker_config, progress: Some(Arc::new(progress)) }
}
