//! A temporary path that one living process owns: `tmp/<name>`, guarded by a lock on `tmp/<name>.lock`.
//! The kernel drops the lock with its process, so what a killed one left is known by its lock being free.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::error::{ImageError, IoContext};

/// Owns `tmp/<name>`, which does not exist yet; whatever is there when the claim is dropped is removed.
#[derive(Debug)]
pub(crate) struct Claim {
    path: PathBuf,
    lock_path: PathBuf,
    _lock: File,
}

impl Claim {
    /// Waits until no one else holds `name`.
    pub(crate) fn acquire(tmp: &Path, name: &str) -> Result<Self, ImageError> {
        loop {
            if let Some(claim) = Self::attempt(tmp, name, FlockOperation::LockExclusive)? {
                return Ok(claim);
            }
        }
    }

    /// Owns a name that no one else uses at this moment.
    pub(crate) fn unique(tmp: &Path, prefix: &str) -> Result<Self, ImageError> {
        use std::sync::atomic::{AtomicU64, Ordering};
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self::acquire(tmp, &format!("{prefix}-{}-{number}", std::process::id()))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes what no living process owns. Returns how many things that were.
    pub(crate) fn sweep(tmp: &Path) -> Result<usize, ImageError> {
        let mut swept = 0;
        for entry in fs::read_dir(tmp).at("read", tmp)? {
            let entry = entry.at("read", tmp)?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let name = name.strip_suffix(".lock").unwrap_or(&name);
            match Self::attempt(tmp, name, FlockOperation::NonBlockingLockExclusive) {
                Ok(Some(claim)) => {
                    swept += 1;
                    drop(claim);
                }
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, name, "cannot sweep a temporary file"),
            }
        }
        Ok(swept)
    }

    /// `None`: held by someone (when not to wait), or its lock file was removed while we waited for it.
    fn attempt(tmp: &Path, name: &str, operation: FlockOperation) -> Result<Option<Self>, ImageError> {
        let lock_path = tmp.join(format!("{name}.lock"));
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock_path)
            .at("create", &lock_path)?;
        match flock_retry(&lock, operation) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error).at("lock", &lock_path),
        }
        if !is_same_file(&lock, &lock_path).at("look at", &lock_path)? {
            return Ok(None);
        }
        let path = tmp.join(name);
        remove_any(&path).at("remove", &path)?;
        Ok(Some(Self { path, lock_path, _lock: lock }))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // The lock file goes last: a path without one would look as if nobody had ever owned it.
        if let Err(error) = remove_any(&self.path) {
            tracing::warn!(%error, path = %self.path.display(), "cannot remove a temporary file");
            return;
        }
        let _ = fs::remove_file(&self.lock_path);
    }
}

/// Takes a lock on an open file; an interrupted wait goes on.
pub(crate) fn flock_retry(file: &File, operation: FlockOperation) -> io::Result<()> {
    loop {
        match flock(file, operation) {
            Err(rustix::io::Errno::INTR) => {}
            result => return result.map_err(Into::into),
        }
    }
}

/// Removes a file or a whole directory, following no symbolic link; what is not there is fine.
pub(crate) fn remove_any(path: &Path) -> io::Result<()> {
    let result = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn is_same_file(file: &File, path: &Path) -> io::Result<bool> {
    let ours = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(theirs) => Ok(ours.ino() == theirs.ino() && ours.dev() == theirs.dev()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_claim_leaves_nothing() {
        let tmp = tempfile::tempdir().unwrap();
        let claim = Claim::acquire(tmp.path(), "x").unwrap();
        fs::create_dir_all(claim.path().join("a/b")).unwrap();
        drop(claim);
        assert_eq!(fs::read_dir(tmp.path()).unwrap().count(), 0);
    }

    #[test]
    fn sweep_takes_the_dead_and_leaves_the_living() {
        let tmp = tempfile::tempdir().unwrap();
        let living = Claim::acquire(tmp.path(), "living").unwrap();
        fs::write(living.path(), "x").unwrap();
        fs::write(tmp.path().join("dead.lock"), "").unwrap();
        fs::create_dir_all(tmp.path().join("dead/sub")).unwrap();
        fs::write(tmp.path().join("stray"), "").unwrap();
        assert!(Claim::sweep(tmp.path()).unwrap() >= 2);
        assert!(living.path().exists());
        drop(living);
        assert_eq!(fs::read_dir(tmp.path()).unwrap().count(), 0);
    }

    #[test]
    fn one_at_a_time() {
        let tmp = tempfile::tempdir().unwrap();
        let inside = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let claim = Claim::acquire(tmp.path(), "x").unwrap();
                        assert_eq!(inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                        fs::write(claim.path(), "x").unwrap();
                        inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(fs::read_dir(tmp.path()).unwrap().count(), 0);
    }
}
