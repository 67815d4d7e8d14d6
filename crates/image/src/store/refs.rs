//! Names of images: `refs/<sha256 of the canonical name>` holds the name and the manifest it means.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use model::image::{Digest, ImageRef};
use serde::{Deserialize, Serialize};

use super::blob::sha256;
use super::{Claim, Store, sync_dir};
use crate::error::{ImageError, IoContext};

/// A name holds a name and a digest; more than this is not ours.
const RECORD_MAX: u64 = 4096;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RefRecord {
    pub reference: ImageRef,
    /// The manifest of the image for this host.
    pub digest: Digest,
    /// The index it was chosen from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<Digest>,
    /// Whether a registry said so, which may say something else by now; else it was built or imported here.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pulled: bool,
}

impl Store {
    /// Whether what this very name means here was told by its registry.
    pub fn was_pulled(&self, reference: &ImageRef) -> Result<bool, ImageError> {
        Ok(read_record(&self.ref_path(reference))?.is_some_and(|record| record.pulled))
    }

    pub(crate) fn write_ref(&self, record: &RefRecord) -> Result<(), ImageError> {
        let path = self.ref_path(&record.reference);
        let claim = Claim::unique(&self.path("tmp"), "ref")?;
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(claim.path())
            .at("create", claim.path())?;
        let bytes = serde_json::to_vec(record).map_err(io::Error::from).at("write", &path)?;
        file.write_all(&bytes).at("write", claim.path())?;
        file.sync_all().at("sync", claim.path())?;
        fs::rename(claim.path(), &path).at("rename to", &path)?;
        sync_dir(&self.path("refs"))
    }

    pub(crate) fn read_ref(&self, reference: &ImageRef) -> Result<Option<RefRecord>, ImageError> {
        if let Some(record) = read_record(&self.ref_path(reference))? {
            return Ok(Some(record));
        }
        // `name@digest` is also known by what was pulled as `name:tag`.
        let Some(digest) = reference.digest() else { return Ok(None) };
        Ok(self.read_refs()?.into_iter().find(|record| {
            record.reference.registry() == reference.registry()
                && record.reference.repository() == reference.repository()
                && (record.digest == *digest || record.index.as_ref() == Some(digest))
        }))
    }

    /// All names, sorted.
    pub(crate) fn read_refs(&self) -> Result<Vec<RefRecord>, ImageError> {
        let dir = self.path("refs");
        let mut records = Vec::new();
        for entry in fs::read_dir(&dir).at("read", &dir)? {
            let path = entry.at("read", &dir)?.path();
            records.extend(read_record(&path)?);
        }
        records.sort_by(|a: &RefRecord, b| a.reference.cmp(&b.reference));
        Ok(records)
    }

    /// False when there was no such name.
    pub(crate) fn remove_ref(&self, reference: &ImageRef) -> Result<bool, ImageError> {
        let path = self.ref_path(reference);
        match fs::remove_file(&path) {
            Ok(()) => sync_dir(&self.path("refs")).map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error).at("remove", &path),
        }
    }

    fn ref_path(&self, reference: &ImageRef) -> PathBuf {
        self.path("refs").join(sha256(reference.to_string().as_bytes()).hex())
    }
}

fn read_record(path: &Path) -> Result<Option<RefRecord>, ImageError> {
    use std::io::Read as _;
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).at("open", path),
    };
    let mut bytes = Vec::new();
    file.take(RECORD_MAX).read_to_end(&mut bytes).at("read", path)?;
    match serde_json::from_slice(&bytes) {
        Ok(record) => Ok(Some(record)),
        Err(error) => {
            tracing::warn!(%error, path = %path.display(), "an image name is unreadable, ignored");
            Ok(None)
        }
    }
}
