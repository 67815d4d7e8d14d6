//! An image that is ready to run, and what a listing says of one.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::image::{Digest, ImageRef};
use oci_spec::image::ImageConfiguration;

/// An image whose layers are unpacked. While one of its clones lives (in any process) nothing of it is collected.
#[derive(Debug, Clone)]
pub struct Image {
    /// The name it was asked for by.
    pub reference: ImageRef,
    /// The manifest for this host.
    pub digest: Digest,
    pub config: ImageConfiguration,
    /// Unpacked layers, lowest first, never empty; whiteouts are those of overlayfs. Not to be written to.
    pub layer_dirs: Vec<PathBuf>,
    pub(crate) store_dir: PathBuf,
    pub(crate) _pin: Arc<Pin>,
}

/// One line of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageEntry {
    pub reference: ImageRef,
    pub digest: Digest,
    /// Bytes as transferred: manifest aside, the configuration and all layers. `None` when the content is damaged.
    pub size: Option<u64>,
    /// As the image claims.
    pub created: Option<jiff::Timestamp>,
}

/// A shared lock on the image's manifest.
#[derive(Debug)]
pub(crate) struct Pin {
    pub _lock: File,
}

impl Image {
    /// The `lowerdir=` of an overlay mount, highest layer first, relative to [`store_dir`](Image::store_dir).
    ///
    /// Mount with that directory as the current one. Then 128 layers take 1.9 KiB of the 4 KiB that mount(2) has for
    /// options on every kernel (`lowerdir+` of fsconfig(2) would need Linux 6.5), and no character of the data
    /// directory's path (`:` `,` `\`) can be read as an option.
    pub fn lowerdir(&self) -> String {
        let relative = |path: &PathBuf| {
            path.strip_prefix(&self.store_dir).unwrap_or(path).to_string_lossy().into_owned()
        };
        self.layer_dirs.iter().rev().map(relative).collect::<Vec<_>>().join(":")
    }

    /// Where the paths of [`lowerdir`](Image::lowerdir) begin.
    pub fn store_dir(&self) -> &Path {
        &self.store_dir
    }
}
