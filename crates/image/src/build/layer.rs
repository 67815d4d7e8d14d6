//! A layer being written: entries collected by path, then put into an archive in order.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use model::image::Digest;
use sha2::{Digest as _, Sha256};
use tar::{EntryType, Header};

use super::view::{Found, View};
use crate::error::ImageError;
use crate::manifest::Descriptor;
use crate::store::blob::BlobWriter;
use crate::store::{Claim, Store};

/// By path below the root; a directory sorts before what is in it.
pub(super) struct LayerBuilder {
    entries: BTreeMap<Vec<OsString>, Entry>,
    epoch: u64,
    /// Where files of this layer are until it is written.
    claims: Vec<Claim>,
}

struct Entry {
    owner: Owner,
    mode: u32,
    mtime: u64,
    content: Content,
}

pub(super) enum Content {
    Directory,
    File(Found),
    Bytes(Arc<[u8]>),
    Symlink(PathBuf),
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Owner {
    pub uid: u32,
    pub gid: u32,
}

/// A layer in the store, not unpacked yet.
pub(super) struct Written {
    pub descriptor: Descriptor,
    pub diff_id: Digest,
}

impl LayerBuilder {
    pub(super) fn new(epoch: i64) -> Self {
        Self { entries: BTreeMap::new(), epoch: u64::try_from(epoch).unwrap_or(0), claims: Vec::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn is_directory(&self, path: &[OsString]) -> Option<bool> {
        self.entries.get(path).map(|entry| matches!(entry.content, Content::Directory))
    }

    /// Adds an entry dated by the build; what was there before is replaced.
    pub(super) fn add(&mut self, path: Vec<OsString>, owner: Owner, mode: u32, content: Content) {
        let mtime = self.epoch;
        self.entries.insert(path, Entry { owner, mode, mtime, content });
    }

    /// As `found` is: its owner, mode and time.
    pub(super) fn add_as_is(&mut self, path: Vec<OsString>, found: &Found, content: Content) {
        let metadata = &found.metadata;
        let owner = Owner { uid: metadata.uid(), gid: metadata.gid() };
        let mtime = u64::try_from(metadata.mtime()).unwrap_or(0);
        self.entries.insert(path, Entry { owner, mode: metadata.mode() & 0o7777, mtime, content });
    }

    pub(super) fn add_file_as_is(&mut self, path: Vec<OsString>, found: Found) {
        self.add_as_is(path.clone(), &found, Content::Directory);
        if let Some(entry) = self.entries.get_mut(&path) {
            entry.content = Content::File(found);
        }
    }

    /// Keeps what it owns until the layer is written.
    pub(super) fn keep(&mut self, claim: Claim) {
        self.claims.push(claim);
    }

    /// The directories that lead to `path`: those below stay as they are, the others are made.
    pub(super) fn add_parents(&mut self, view: &View, path: &[OsString], owner: Owner) -> io::Result<()> {
        for count in 1..path.len() {
            let parent = &path[..count];
            if self.entries.contains_key(parent) {
                continue;
            }
            match view.find(parent)? {
                Some(found) => self.add_as_is(parent.to_vec(), &found, Content::Directory),
                None => self.add(parent.to_vec(), owner, 0o755, Content::Directory),
            }
        }
        Ok(())
    }

    pub(super) fn write(self, store: &Store) -> Result<Written, ImageError> {
        let mut blob = Blob { writer: store.blob_writer(store.limits().blob_max, "layer")?, refused: None };
        // A layer that is built is used here first; smaller would be several times slower.
        let hashing =
            Hashing { inner: GzEncoder::new(&mut blob, Compression::fast()), hasher: Sha256::new() };
        let written = self.write_archive(hashing);
        match (written, blob.refused) {
            (Ok(diff_id), None) => {
                let info = blob.writer.finish(None)?;
                Ok(Written { descriptor: store.layer_descriptor(info)?, diff_id })
            }
            (_, Some(refused)) => Err(refused),
            (Err(error), None) => Err(ImageError::invalid("layer", error.to_string())),
        }
    }

    fn write_archive(self, out: Hashing<GzEncoder<&mut Blob>>) -> io::Result<Digest> {
        let mut archive = tar::Builder::new(out);
        for (path, entry) in self.entries {
            let path: PathBuf = path.iter().collect();
            let named = |error: io::Error| io::Error::other(format!("{}: {error}", path.display()));
            let mut header = Header::new_gnu();
            header.set_mode(entry.mode);
            header.set_uid(entry.owner.uid.into());
            header.set_gid(entry.owner.gid.into());
            header.set_mtime(entry.mtime);
            header.set_size(0);
            match entry.content {
                Content::Directory => {
                    header.set_entry_type(EntryType::Directory);
                    let mut name = path.as_os_str().to_owned();
                    name.push("/");
                    archive.append_data(&mut header, name, io::empty()).map_err(named)?;
                }
                Content::Symlink(target) => {
                    header.set_entry_type(EntryType::Symlink);
                    archive.append_link(&mut header, &path, target).map_err(named)?;
                }
                Content::Bytes(bytes) => {
                    header.set_size(bytes.len() as u64);
                    archive.append_data(&mut header, &path, &bytes[..]).map_err(named)?;
                }
                Content::File(found) => {
                    let file = found.open().map_err(named)?;
                    let size = file.metadata()?.len();
                    header.set_size(size);
                    let mut exact = Exact { inner: file.take(size), left: size };
                    archive.append_data(&mut header, &path, &mut exact).map_err(named)?;
                }
            }
        }
        let hashing = archive.into_inner()?;
        hashing.inner.finish()?;
        Ok(Digest::from_sha256(hashing.hasher.finalize().into()))
    }
}

/// A whiteout file cannot be copied into a layer: its name would remove something.
pub(super) fn is_reserved(name: &std::ffi::OsStr) -> bool {
    name.as_bytes().starts_with(b".wh.")
}

/// A file that shrinks while it is read would shift everything behind it.
struct Exact<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Exact<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.left -= count as u64;
        match count == 0 && !buffer.is_empty() && self.left > 0 {
            true => Err(io::Error::other("it became shorter while it was read")),
            false => Ok(count),
        }
    }
}

struct Hashing<W> {
    inner: W,
    hasher: Sha256,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

struct Blob {
    writer: BlobWriter,
    /// The error behind the one that the encoder sees.
    refused: Option<ImageError>,
}

impl Write for Blob {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes).map_err(|error| {
            let shown = io::Error::other(error.to_string());
            self.refused = Some(error);
            shown
        })?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
