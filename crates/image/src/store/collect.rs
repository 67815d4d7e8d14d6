//! Removal: names first, then what no name, no living image and no container leads to.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use model::image::{Digest, ImageRef};
use rustix::fs::FlockOperation;

use super::{Claim, Store, claim};
use crate::error::{ImageError, IoContext};
use crate::manifest::diff_ids;

/// What a removal did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RemoveReport {
    pub blobs_removed: usize,
    pub layers_removed: usize,
    /// True when another process was adding to the store, so that garbage waits for the next removal or sweep.
    pub deferred: bool,
}

/// What a sweep did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SweepReport {
    pub temporaries_removed: usize,
    pub garbage: RemoveReport,
}

impl Store {
    /// Removes a name, then the blobs and layers that nothing else needs. `in_use` says of a manifest whether a
    /// container still runs from it; images that live as values are kept in any case.
    pub fn remove(
        &self,
        reference: &ImageRef,
        in_use: &dyn Fn(&Digest) -> bool,
    ) -> Result<RemoveReport, ImageError> {
        if !self.remove_ref(reference)? {
            return Err(ImageError::NotFound { image: reference.clone() });
        }
        self.collect(in_use)
    }

    /// Removes what killed processes left and what nothing leads to. For the start of the platform.
    pub fn sweep(&self, in_use: &dyn Fn(&Digest) -> bool) -> Result<SweepReport, ImageError> {
        let temporaries_removed = Claim::sweep(&self.path("tmp"))?;
        Ok(SweepReport { temporaries_removed, garbage: self.collect(in_use)? })
    }

    /// After a failed addition: what it brought leads nowhere. Images that are here all stay.
    pub(crate) fn discard_failed(&self) {
        if let Err(error) = self.collect(&|_| true) {
            tracing::warn!(%error, "cannot remove what a failed image left; the next sweep will");
        }
    }

    fn collect(&self, in_use: &dyn Fn(&Digest) -> bool) -> Result<RemoveReport, ImageError> {
        let mut report = RemoveReport::default();
        let Some(exclusive) = try_lock(&self.path("lock"))? else {
            report.deferred = true;
            return Ok(report);
        };
        let (blobs, layers) = self.reachable(in_use)?;
        let mut doomed = Vec::new();
        for path in unreachable(&self.path("layers"), &layers)? {
            doomed.push(self.detach_layer(&path)?);
            report.layers_removed += 1;
        }
        for path in unreachable(&self.path("blobs/sha256"), &blobs)? {
            fs::remove_file(&path).at("remove", &path)?;
            report.blobs_removed += 1;
        }
        // Deleting a tree takes long; its name is gone already, so others may go on.
        drop(exclusive);
        drop(doomed);
        Ok(report)
    }

    /// Hexadecimal digests of the blobs and of the layers that must stay.
    fn reachable(
        &self,
        in_use: &dyn Fn(&Digest) -> bool,
    ) -> Result<(HashSet<String>, HashSet<String>), ImageError> {
        let records = self.read_refs()?;
        let named: HashSet<&Digest> = records.iter().map(|record| &record.digest).collect();
        let (mut blobs, mut layers) = (HashSet::new(), HashSet::new());
        let dir = self.path("manifests");
        for entry in fs::read_dir(&dir).at("read", &dir)? {
            let path = entry.at("read", &dir)?.path();
            let digest =
                path.file_name().and_then(|name| Digest::parse(&format!("sha256:{}", name.to_str()?)).ok());
            let Some(digest) = digest else { continue };
            let lives = named.contains(&digest) || in_use(&digest) || try_lock(&path)?.is_none();
            let content = lives.then(|| self.content_of(&digest)).transpose();
            match content {
                Ok(Some((image_blobs, image_layers))) => {
                    blobs.extend(image_blobs);
                    layers.extend(image_layers);
                }
                Ok(None) => fs::remove_file(&path).at("remove", &path)?,
                Err(error) => {
                    tracing::warn!(%error, %digest, "image is damaged, its content is given up");
                    fs::remove_file(&path).at("remove", &path)?;
                }
            }
        }
        Ok((blobs, layers))
    }

    fn content_of(&self, digest: &Digest) -> Result<(Vec<String>, Vec<String>), ImageError> {
        let manifest = self.read_manifest(digest)?;
        let config = self.read_config(&manifest)?;
        let mut blobs = vec![digest.hex().to_owned(), manifest.config.digest.hex().to_owned()];
        blobs.extend(manifest.layers.iter().map(|layer| layer.digest.hex().to_owned()));
        let layers = diff_ids(&config)?.iter().map(|id| id.hex().to_owned()).collect();
        Ok((blobs, layers))
    }

    /// Takes a layer's links and name away; the tree goes when the claim is dropped.
    fn detach_layer(&self, path: &Path) -> Result<Claim, ImageError> {
        let dir = self.path("l");
        for entry in fs::read_dir(&dir).at("read", &dir)? {
            let link = entry.at("read", &dir)?.path();
            let points_here = fs::read_link(&link).is_ok_and(|target| target.file_name() == path.file_name());
            if points_here {
                fs::remove_file(&link).at("remove", &link)?;
            }
        }
        let claim = Claim::unique(&self.path("tmp"), "doomed")?;
        fs::rename(path, claim.path()).at("rename", path)?;
        Ok(claim)
    }
}

fn unreachable(dir: &Path, reachable: &HashSet<String>) -> Result<Vec<PathBuf>, ImageError> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).at("read", dir)? {
        let entry = entry.at("read", dir)?;
        if !entry.file_name().to_str().is_some_and(|name| reachable.contains(name)) {
            paths.push(entry.path());
        }
    }
    Ok(paths)
}

/// `None`: someone holds it.
fn try_lock(path: &Path) -> Result<Option<File>, ImageError> {
    let file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).at("open", path)?;
    match claim::flock_retry(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error).at("lock", path),
    }
}
