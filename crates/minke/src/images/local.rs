//! The store of this machine, as the commands use it that need no running platform.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use image::{BuildOptions, BuiltinFile, BuiltinImage, ImageError, ImageRef, Progress, PullOptions, Store};
use model::env;

use crate::embed;
use crate::error::{Failure, chain};
use crate::printer;

/// The image that gives Dockerfiles the watchdog of this program.
const WATCHDOG_IMAGE: &str = "minke/fwatchdog";
const WATCHDOG_PATH: &str = "/fwatchdog";

/// Opens the store of a data folder, and makes it when it is not there.
pub fn open_store(data_dir: &Path) -> Result<Store, Failure> {
    Store::open(super::folder(data_dir)).map_err(|error| match denied(&error) {
        true => Failure::usage(format_args!(
            "no access to {}: run it as the user of `minke up` (root), or name another folder with --data-dir",
            data_dir.display()
        )),
        false => Failure::usage(format_args!("{}; --data-dir names another folder", chain(&error))),
    })
}

/// Builds the Dockerfile of a folder and names the image.
pub async fn build(
    store: &Store,
    context: &Path,
    name: &ImageRef,
    build_args: BTreeMap<String, String>,
    labels: BTreeMap<String, String>,
) -> Result<(), Failure> {
    let watchdog =
        BuiltinFile { path: WATCHDOG_PATH.to_owned(), mode: 0o755, content: Arc::from(embed::FWATCHDOG) };
    let builtin = BTreeMap::from([(WATCHDOG_IMAGE.to_owned(), BuiltinImage { files: vec![watchdog] })]);
    let options = BuildOptions {
        context_dir: context.to_owned(),
        tags: vec![name.clone()],
        build_args,
        labels,
        builtin,
        pull: PullOptions {
            insecure_registries: insecure_registries(),
            docker_config: image::docker_config_path(|name| std::env::var_os(name)),
            progress: Some(Arc::new(tell_progress)),
        },
        ..BuildOptions::default()
    };
    store.build(options).await.map(drop).map_err(|error| failure(&error))
}

/// [`build`] into the store of a data folder, for the platform itself.
pub async fn build_folder(data_dir: &Path, context: &Path, name: &str) -> Result<(), Failure> {
    let name = ImageRef::parse(name).map_err(Failure::usage)?;
    build(&open_store(data_dir)?, context, &name, BTreeMap::new(), BTreeMap::new()).await
}

/// What went wrong with an image, in one line.
pub fn failure(error: &ImageError) -> Failure {
    Failure::general(chain(error))
}

/// Reads the name of an image from the command line.
pub fn reference(text: &str) -> Result<ImageRef, String> {
    ImageRef::parse(text).map_err(|error| error.to_string())
}

fn denied(error: &ImageError) -> bool {
    matches!(error, ImageError::Io { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied)
}

fn insecure_registries() -> Vec<String> {
    let list = std::env::var(env::INSECURE_REGISTRIES).unwrap_or_default();
    list.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn tell_progress(step: &Progress) {
    match step {
        Progress::Resolved { layers, bytes } => {
            printer::tell(format_args!("pulling the base image: {layers} layers, {bytes} bytes to fetch"));
        }
        Progress::Unpacking => printer::tell("unpacking the base image"),
        Progress::Fetching { .. } => {}
    }
}
