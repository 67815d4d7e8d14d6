//! What the functions of a data folder were deployed from, by the files that the platform keeps of them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use model::image::Digest;
use serde_json::Value;

/// A function's file holds its spec; more than this is not ours.
const FILE_MAX: u64 = 16 * 1024 * 1024;

/// The functions by the digests of their images.
#[derive(Debug)]
pub struct Wishes {
    functions: BTreeMap<Digest, String>,
}

impl Wishes {
    /// Any file that does not say which image it needs could need every one, so it is an error.
    pub fn read(data_dir: &Path) -> Result<Self, String> {
        let mut functions = BTreeMap::new();
        for folder in list(&data_dir.join("functions"))?.into_iter().filter(|path| path.is_dir()) {
            for path in list(&folder)? {
                // What has another ending was never accepted.
                if path.extension().is_none_or(|extension| extension != "json") {
                    continue;
                }
                if let Some(digest) = digest(&path)? {
                    functions.insert(digest, name(&folder, &path));
                }
            }
        }
        Ok(Self { functions })
    }

    /// One that was deployed from this image.
    pub fn function_of(&self, digest: &Digest) -> Option<&str> {
        self.functions.get(digest).map(String::as_str)
    }
}

/// `None` when the function was removed meanwhile.
fn digest(path: &Path) -> Result<Option<Digest>, String> {
    let unclear = |reason: &dyn std::fmt::Display| {
        format!(
            "{} does not tell which image its function needs ({reason}); repair or remove it first",
            path.display()
        )
    };
    let mut text = String::new();
    match File::open(path).and_then(|file| file.take(FILE_MAX).read_to_string(&mut text)) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        result => result.map_err(|error| unclear(&error))?,
    };
    let value: Value = serde_json::from_str(&text).map_err(|error| unclear(&error))?;
    let digest = value.get("digest").and_then(Value::as_str).ok_or_else(|| unclear(&"it has no digest"))?;
    Digest::parse(digest).map(Some).map_err(|error| unclear(&error))
}

/// As one writes it: with its namespace.
fn name(folder: &Path, path: &Path) -> String {
    let part = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
    format!("{}.{}", part(path.file_stem()), part(folder.file_name()))
}

fn list(path: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect()),
    };
    entries.map_err(|error: std::io::Error| {
        format!("failed to list {}, where it is told what functions need: {error}", path.display())
    })
}
