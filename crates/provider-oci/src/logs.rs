//! What functions write: kept on disk within bounds, `logs/<namespace>/<name>/`, and read from there.

mod capture;
mod chunk;
mod line;
mod read;
mod store;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use model::FunctionId;

pub use capture::{Capture, LastLine, stream};
pub use read::read;
pub use store::FunctionLog;

use crate::durable::{FileError, list, make_dir};

/// Where the logs of all functions are.
#[derive(Debug)]
pub struct Logs {
    folder: PathBuf,
    /// For each function.
    bytes_max: u64,
}

impl Logs {
    pub fn open(folder: PathBuf, bytes_max: u64) -> Result<Logs, FileError> {
        make_dir(&folder)?;
        Ok(Logs { folder, bytes_max })
    }

    /// Touches nothing on disk.
    pub fn of(&self, function: &FunctionId) -> Arc<FunctionLog> {
        let folder = self.folder.join(function.namespace.as_str()).join(function.name.as_str());
        Arc::new(FunctionLog::new(function.clone(), folder, self.bytes_max))
    }

    /// Removes the logs of functions that are not there any more.
    pub fn sweep(&self, functions: &BTreeSet<FunctionId>) -> Result<(), FileError> {
        let kept: BTreeSet<PathBuf> = functions
            .iter()
            .map(|id| self.folder.join(id.namespace.as_str()).join(id.name.as_str()))
            .collect();
        for namespace in list(&self.folder)?.into_iter().filter(|path| path.is_dir()) {
            for log in list(&namespace)?.iter().filter(|path| !kept.contains(*path)) {
                store::remove_folder(log)?;
            }
            // One that still holds logs stays.
            let _ = std::fs::remove_dir(&namespace);
        }
        Ok(())
    }
}
