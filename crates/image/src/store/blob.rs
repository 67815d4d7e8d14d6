//! Content by digest: `blobs/sha256/<hex>`. A blob that has its name is whole, synced and was verified.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use model::image::Digest;
use sha2::{Digest as _, Sha256};

use super::{Claim, Store, sync_dir};
use crate::error::{ImageError, IoContext};

/// A blob being written; it becomes visible by [`finish`](BlobWriter::finish) alone.
pub(crate) struct BlobWriter {
    store: Store,
    claim: Claim,
    file: File,
    hasher: Sha256,
    size: u64,
    max: u64,
    what: String,
}

/// How large a blob is, and which one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BlobInfo {
    pub digest: Digest,
    pub size: u64,
}

impl Store {
    pub(crate) fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.path("blobs/sha256").join(digest.hex())
    }

    pub(crate) fn has_blob(&self, digest: &Digest) -> bool {
        self.blob_path(digest).is_file()
    }

    pub(crate) fn open_blob(&self, digest: &Digest) -> Result<File, ImageError> {
        let path = self.blob_path(digest);
        match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(ImageError::BlobMissing { what: digest.clone() })
            }
            result => result.at("open", &path),
        }
    }

    /// Reads a small blob whole, and checks it: what is on disk may have rotted.
    pub(crate) fn read_blob(&self, digest: &Digest, max: u64) -> Result<Vec<u8>, ImageError> {
        let mut bytes = Vec::new();
        let file = self.open_blob(digest)?;
        file.take(max + 1).read_to_end(&mut bytes).at("read", &self.blob_path(digest))?;
        if bytes.len() as u64 > max {
            return Err(ImageError::TooLarge { what: digest.to_string(), max });
        }
        let actual = sha256(&bytes);
        if actual != *digest {
            let (expected, actual) = (digest.to_string(), actual.to_string());
            return Err(ImageError::Corrupt { what: format!("blob {digest}"), expected, actual });
        }
        Ok(bytes)
    }

    /// Stores what `reader` gives; `what` names it in messages.
    pub(crate) fn add_blob(
        &self,
        reader: &mut dyn Read,
        expected: Option<&Digest>,
        max: u64,
        what: &str,
    ) -> Result<BlobInfo, ImageError> {
        let mut writer = self.blob_writer(max, what)?;
        let mut buffer = vec![0; 128 * 1024];
        loop {
            let count = match reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error).at("read for", writer.claim.path()),
            };
            writer.write(&buffer[..count])?;
        }
        writer.finish(expected)
    }

    pub(crate) fn blob_writer(&self, max: u64, what: &str) -> Result<BlobWriter, ImageError> {
        let claim = Claim::unique(&self.path("tmp"), "blob")?;
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(claim.path())
            .at("create", claim.path())?;
        let (hasher, what) = (Sha256::new(), what.to_owned());
        Ok(BlobWriter { store: self.clone(), claim, file, hasher, size: 0, max, what })
    }
}

impl BlobWriter {
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), ImageError> {
        self.size += bytes.len() as u64;
        if self.size > self.max {
            return Err(ImageError::TooLarge { what: self.what.clone(), max: self.max });
        }
        self.hasher.update(bytes);
        self.file.write_all(bytes).at("write", self.claim.path())
    }

    /// Verifies, syncs and gives the blob its name.
    pub(crate) fn finish(self, expected: Option<&Digest>) -> Result<BlobInfo, ImageError> {
        let digest = Digest::from_sha256(self.hasher.finalize().into());
        if let Some(expected) = expected.filter(|expected| **expected != digest) {
            let (expected, actual) = (expected.to_string(), digest.to_string());
            return Err(ImageError::Corrupt { what: self.what, expected, actual });
        }
        let path = self.store.blob_path(&digest);
        self.file.sync_all().at("sync", self.claim.path())?;
        fs::rename(self.claim.path(), &path).at("rename to", &path)?;
        sync_dir(&self.store.path("blobs/sha256"))?;
        Ok(BlobInfo { digest, size: self.size })
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> Digest {
    Digest::from_sha256(Sha256::digest(bytes).into())
}
