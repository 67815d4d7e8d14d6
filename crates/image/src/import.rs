//! Images from files: a `docker save` archive, an OCI layout as a directory or as an archive.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use model::image::ImageRef;

use crate::error::{ImageError, IoContext};
use crate::store::{Session, Store};

mod docker;
mod files;
mod layout;

use files::Files;

/// How to import.
#[derive(Debug, Clone, Default)]
pub struct ImportOptions {
    /// The name to give, instead of those in the archive. Only for an archive of one image.
    pub name: Option<ImageRef>,
}

impl Store {
    /// Imports an archive (tar, plain or compressed with gzip or zstd) or an OCI layout directory. Returns the names
    /// that the images got. All of them are imported, or none.
    pub fn import(&self, path: &Path, options: &ImportOptions) -> Result<Vec<ImageRef>, ImageError> {
        if path.is_dir() {
            return self.import_files(&Files::in_directory(path), options);
        }
        let file = File::open(path).at("open", path)?;
        self.import_reader(&mut { file }, options)
    }

    /// As [`import`](Store::import), from an archive that is read only once, like standard input.
    pub fn import_reader(
        &self,
        reader: &mut dyn Read,
        options: &ImportOptions,
    ) -> Result<Vec<ImageRef>, ImageError> {
        self.import_files(&Files::spool(self, reader)?, options)
    }

    fn import_files(&self, files: &Files, options: &ImportOptions) -> Result<Vec<ImageRef>, ImageError> {
        let session = self.session()?;
        let result = self.import_into(&session, files, options);
        drop(session);
        if result.is_err() {
            self.discard_failed();
        }
        result
    }

    fn import_into(
        &self,
        session: &Session,
        files: &Files,
        options: &ImportOptions,
    ) -> Result<Vec<ImageRef>, ImageError> {
        let found = if files.has("manifest.json") {
            docker::read(self, files)?
        } else if files.has("index.json") {
            layout::read(self, files)?
        } else {
            let reason = "it has neither a manifest.json (docker save) nor an index.json (OCI layout)";
            return Err(ImageError::invalid("archive", reason));
        };
        let mut names = Vec::new();
        let one = found.len() == 1;
        // Everything is read and unpacked before the first name appears.
        let mut images = Vec::new();
        for image in &found {
            let references = match &options.name {
                Some(name) if one => vec![name.clone()],
                Some(_) => return Err(ImageError::invalid("name", "the archive holds several images")),
                None => image.names.clone(),
            };
            if references.is_empty() {
                return Err(ImageError::NameMissing);
            }
            images.push(self.load(session, &references[0], &image.digest)?);
            names.push((references, &image.digest));
        }
        for (references, digest) in &names {
            for reference in references {
                self.name(session, reference, digest, None)?;
            }
        }
        Ok(names.into_iter().flat_map(|(references, _)| references).collect())
    }
}

/// An image whose blobs are in the store.
struct Found {
    digest: model::image::Digest,
    names: Vec<ImageRef>,
}
