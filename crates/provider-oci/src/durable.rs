//! Files that a crash at any instant leaves as they were or as they are to be, and that nobody else may read.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A file operation, and what became of it.
#[derive(Debug, thiserror::Error)]
#[error("failed to {verb} {path}")]
pub struct FileError {
    verb: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

pub fn at(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileError {
    let path = path.to_owned();
    move |source| FileError { verb, path, source }
}

/// Writes a file by way of `temporary`, which lies beside it.
pub fn replace(path: &Path, temporary: &Path, content: &[u8]) -> Result<(), FileError> {
    write_new(temporary, content)?;
    fs::rename(temporary, path).map_err(at("replace", path))?;
    sync_dir(path.parent().unwrap_or(Path::new("/")))
}

/// What an earlier attempt left at `path` is overwritten.
pub fn write_new(path: &Path, content: &[u8]) -> Result<(), FileError> {
    let mut file = options().truncate(true).open(path).map_err(at("create", path))?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(at("write", path))
}

/// Gone for good when it returns; what is not there is gone already.
pub fn remove(path: &Path) -> Result<(), FileError> {
    remove_unsynced(path)?;
    sync_dir(path.parent().unwrap_or(Path::new("/")))
}

/// For what may come back after a crash without harm.
pub fn remove_unsynced(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at("remove", path)(error)),
        _ => Ok(()),
    }
}

pub fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true).write(true).mode(0o600);
    options
}

/// With those above it; durable when it returns.
pub fn make_dir(path: &Path) -> Result<(), FileError> {
    if path.is_dir() {
        return Ok(());
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(at("create", path))?;
    sync_dir(path.parent().unwrap_or(Path::new("/")))
}

/// A folder that is not there has nothing to lose.
pub fn sync_dir(path: &Path) -> Result<(), FileError> {
    match File::open(path).and_then(|dir| dir.sync_all()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at("sync", path)(error)),
        _ => Ok(()),
    }
}

/// What lies in a folder; one that is not there is empty.
pub fn list(path: &Path) -> Result<Vec<PathBuf>, FileError> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(at("list", path))?,
    };
    entries.map(|entry| entry.map(|entry| entry.path()).map_err(at("list", path))).collect()
}
