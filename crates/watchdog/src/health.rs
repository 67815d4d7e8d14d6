//! Whether this function takes calls: the lock file that exec probes look at, and the state behind `/_/health`.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use model::env::watchdog::TMPDIR;

#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("cannot write the lock file {}: {source}; mount a writable folder there, point TMPDIR at one, or set suppress_lock=true", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("the lock file {} does not exist: the function is not ready", .0.display())]
    Absent(PathBuf),
}

pub struct Health {
    lock: Option<Lock>,
    started: AtomicBool,
    stopping: AtomicBool,
}

/// Proven writable at start, but put in its place only once the function takes calls: exec probes look for the name.
struct Lock {
    path: PathBuf,
    pending: PathBuf,
}

impl Health {
    pub fn prepare(suppress_lock: bool) -> Result<Self, LockError> {
        let lock = if suppress_lock { None } else { Some(Lock::prepare()?) };
        Ok(Self { lock, started: AtomicBool::new(false), stopping: AtomicBool::new(false) })
    }

    /// The function takes calls from here on.
    pub fn start(&self) -> Result<(), LockError> {
        if let Some(lock) = &self.lock
            && !self.stopping.load(Relaxed)
        {
            lock.publish()?;
        }
        self.started.store(true, Relaxed);
        Ok(())
    }

    pub fn stop(&self) {
        self.stopping.store(true, Relaxed);
        if let Some(lock) = &self.lock {
            lock.remove();
        }
    }

    pub fn is_up(&self) -> bool {
        self.started.load(Relaxed)
            && !self.stopping.load(Relaxed)
            && self.lock.as_ref().is_none_or(|lock| lock.path.exists())
    }

    pub fn lock_path(&self) -> Option<&PathBuf> {
        self.lock.as_ref().map(|lock| &lock.path)
    }
}

impl Lock {
    fn prepare() -> Result<Self, LockError> {
        let path = lock_path();
        let pending = path.with_extension("starting");
        let lock = Self { path, pending };
        lock.write().map_err(|source| LockError::Write { path: lock.path.clone(), source })?;
        Ok(lock)
    }

    fn write(&self) -> io::Result<()> {
        use std::os::unix::fs::OpenOptionsExt;
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // Opened without following a link that someone else may have left in a shared /tmp.
        let _ = fs::remove_file(&self.pending);
        fs::OpenOptions::new().write(true).create_new(true).mode(0o660).open(&self.pending).map(drop)
    }

    fn publish(&self) -> Result<(), LockError> {
        fs::rename(&self.pending, &self.path)
            .map_err(|source| LockError::Write { path: self.path.clone(), source })
    }

    fn remove(&self) {
        let _ = fs::remove_file(&self.path);
        let _ = fs::remove_file(&self.pending);
    }
}

/// What `--run-healthcheck` asks; needs no configuration.
pub fn check_lock() -> Result<(), LockError> {
    let path = lock_path();
    if path.exists() { Ok(()) } else { Err(LockError::Absent(path)) }
}

fn lock_path() -> PathBuf {
    let folder = std::env::var_os(TMPDIR).filter(|folder| !folder.is_empty());
    PathBuf::from(folder.unwrap_or_else(|| "/tmp".into())).join(".lock")
}
