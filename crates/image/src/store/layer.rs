//! Layers unpacked: each exactly once, whoever asks first.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

use model::image::Digest;
use oci_spec::image::ImageConfiguration;

use super::blob::BlobInfo;
use super::{Claim, Store, unsynced};
use crate::error::{ImageError, IoContext};
use crate::manifest::{Descriptor, Manifest, diff_ids};
use crate::unpack::{self, Budget, Compression};

impl Store {
    /// Unpacked, and known to be whole.
    pub(crate) fn has_layer(&self, diff_id: &Digest) -> bool {
        let path = self.layer_path(diff_id);
        path.is_dir() && unsynced::is_whole(&path)
    }

    pub(crate) fn layer_path(&self, diff_id: &Digest) -> PathBuf {
        self.path("layers").join(diff_id.hex())
    }

    /// What to write into a manifest for a blob, from its first bytes.
    pub(crate) fn layer_descriptor(&self, blob: BlobInfo) -> Result<Descriptor, ImageError> {
        use std::io::Read as _;
        let mut first = Vec::new();
        self.open_blob(&blob.digest)?
            .take(8)
            .read_to_end(&mut first)
            .at("read", &self.blob_path(&blob.digest))?;
        let suffix = match Compression::of(&first) {
            Compression::Gzip => "+gzip",
            Compression::Zstd => "+zstd",
            Compression::None | Compression::Other => "",
        };
        let media_type = format!("application/vnd.oci.image.layer.v1.tar{suffix}");
        Ok(Descriptor { digest: blob.digest, size: blob.size, media_type })
    }

    /// The lower directories of an image, lowest first.
    pub(super) fn ensure_layers(
        &self,
        manifest: &Manifest,
        config: &ImageConfiguration,
    ) -> Result<Vec<PathBuf>, ImageError> {
        let mut budget = Budget::new(self.limits());
        let mut dirs = Vec::new();
        for (layer, diff_id) in manifest.layers.iter().zip(diff_ids(config)?) {
            self.ensure_layer(layer, &diff_id, &mut budget)?;
            dirs.push(self.link_layer(&diff_id)?);
        }
        unsynced::sync_later(&dirs);
        if dirs.is_empty() {
            dirs.push(self.path("l/empty"));
        }
        Ok(dirs)
    }

    /// The directory of one layer, for a build.
    pub(crate) fn unpack_layer(&self, layer: &Descriptor, diff_id: &Digest) -> Result<PathBuf, ImageError> {
        self.ensure_layer(layer, diff_id, &mut Budget::new(self.limits()))?;
        Ok(self.layer_path(diff_id))
    }

    /// Takes nothing of the budget when the layer is here.
    fn ensure_layer(
        &self,
        layer: &Descriptor,
        diff_id: &Digest,
        budget: &mut Budget,
    ) -> Result<(), ImageError> {
        let path = self.layer_path(diff_id);
        if self.has_layer(diff_id) {
            return Ok(());
        }
        let claim = Claim::acquire(&self.path("tmp"), &format!("layer-{}", diff_id.hex()))?;
        if self.has_layer(diff_id) {
            return Ok(());
        }
        let blob = self.open_blob(&layer.digest)?;
        let root = claim.path();
        fs::DirBuilder::new().mode(0o755).create(root).at("create", root)?;
        let report = unpack::unpack(blob, root, self.limits(), budget)
            .map_err(|source| ImageError::Layer { layer: layer.digest.to_string(), source })?;
        if report.diff_id != *diff_id {
            let (expected, actual) = (diff_id.to_string(), report.diff_id.to_string());
            return Err(ImageError::Corrupt { what: format!("layer {}", layer.digest), expected, actual });
        }
        unsynced::mark(root)?;
        if path.is_dir() {
            let stale = Claim::unique(&self.path("tmp"), "stale")?;
            fs::rename(&path, stale.path()).at("rename", &path)?;
        }
        fs::rename(root, &path).at("rename to", &path)?;
        tracing::debug!(layer = %layer.digest, bytes = report.bytes, entries = report.entries, "layer unpacked");
        Ok(())
    }

    /// `l/<12 hex>`. Twelve digits can be made to collide on purpose, so a name that is taken gets longer.
    fn link_layer(&self, diff_id: &Digest) -> Result<PathBuf, ImageError> {
        let target = Path::new("../layers").join(diff_id.hex());
        for length in [12, 20, 32] {
            let link = self.path("l").join(&diff_id.hex()[..length]);
            match symlink(&target, &link) {
                Ok(()) => return Ok(link),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error).at("create", &link),
            }
            if fs::read_link(&link).at("read", &link)? == target {
                return Ok(link);
            }
        }
        Ok(self.layer_path(diff_id))
    }
}
