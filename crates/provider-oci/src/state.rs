//! What is wished for, on disk before it is done: one file for each function, `functions/<namespace>/<name>.json`.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use model::image::Digest;
use model::{FunctionId, FunctionSpec};
use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use crate::durable::{self, FileError, at, list, make_dir};

const TEMPORARY: &str = "tmp";

/// A function as it is to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Wish {
    pub spec: FunctionSpec,
    pub replicas: u32,
    pub created_at: Timestamp,
    /// Counts the specs: replicas of an earlier one are replaced.
    pub generation: u64,
    /// What the image's name meant when it was accepted.
    pub digest: Digest,
}

#[derive(Debug, thiserror::Error)]
pub enum StateError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("another platform uses the data directory {0}, stop it or choose another with --data-dir")]
    InUse(PathBuf),
}

/// The data directory, locked against a second platform.
#[derive(Debug)]
pub struct State {
    functions: PathBuf,
    instance: String,
    _lock: File,
}

impl State {
    pub fn open(data_dir: &Path) -> Result<State, StateError> {
        make_dir(data_dir)?;
        let lock = lock(data_dir)?;
        let functions = data_dir.join("functions");
        make_dir(&functions)?;
        let instance = instance(data_dir)?;
        Ok(State { functions, instance, _lock: lock })
    }

    /// A random name of this data directory, so that two platforms can live on one host.
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// Durable when it returns.
    pub fn save(&self, wish: &Wish) -> Result<(), StateError> {
        let path = self.path(&wish.spec.id);
        make_dir(&self.folder(&wish.spec.id))?;
        let text = serde_json::to_vec_pretty(wish).map_err(|error| at("write", &path)(error.into()))?;
        Ok(durable::replace(&path, &path.with_extension(TEMPORARY), &text)?)
    }

    /// Durable when it returns; a function that is not there is removed already.
    pub fn remove(&self, id: &FunctionId) -> Result<(), StateError> {
        Ok(durable::remove(&self.path(id))?)
    }

    /// Every wish that is whole. A temporary file is what a crash left of one that was never accepted.
    pub fn load(&self) -> Result<Vec<Wish>, StateError> {
        let mut wishes = Vec::new();
        for folder in list(&self.functions)?.into_iter().filter(|path| path.is_dir()) {
            for path in list(&folder)? {
                let is = |extension: &str| path.is_file() && path.extension().is_some_and(|e| e == extension);
                if is(TEMPORARY) {
                    fs::remove_file(&path).map_err(at("remove", &path))?;
                    continue;
                }
                if !is("json") {
                    tracing::warn!(?path, "what lies here is no function file, it is left alone");
                    continue;
                }
                match fs::read(&path).and_then(|text| Ok(serde_json::from_slice::<Wish>(&text)?)) {
                    Ok(wish) if self.path(&wish.spec.id) == path => wishes.push(wish),
                    Ok(_) => tracing::error!(?path, "function file names another function, it is left alone"),
                    Err(error) => {
                        tracing::error!(?path, %error, "function file cannot be read, it is left alone")
                    }
                }
            }
        }
        Ok(wishes)
    }

    fn folder(&self, id: &FunctionId) -> PathBuf {
        self.functions.join(id.namespace.as_str())
    }

    fn path(&self, id: &FunctionId) -> PathBuf {
        self.folder(id).join(format!("{}.json", id.name))
    }
}

fn lock(data_dir: &Path) -> Result<File, StateError> {
    let path = data_dir.join("lock");
    let file = durable::options().truncate(false).open(&path).map_err(at("open", &path))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(StateError::InUse(data_dir.to_owned())),
        Err(errno) => Err(at("lock", &path)(errno.into()).into()),
    }
}

fn instance(data_dir: &Path) -> Result<String, StateError> {
    let path = data_dir.join("instance");
    let is_valid = |text: &str| text.len() == 8 && text.bytes().all(|b| b.is_ascii_hexdigit());
    match fs::read_to_string(&path) {
        Ok(text) if is_valid(&text) => return Ok(text),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at("read", &path)(error).into()),
        _ => (),
    }
    let instance = format!("{:08x}", fastrand::u32(..));
    durable::replace(&path, &path.with_extension(TEMPORARY), instance.as_bytes())?;
    Ok(instance)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(name: &str) -> Wish {
        let id = FunctionId::parse(name, &model::Namespace::default()).unwrap();
        Wish {
            spec: FunctionSpec::new(id, "alpine".parse().unwrap()),
            replicas: 2,
            created_at: Timestamp::now(),
            generation: 1,
            digest: Digest::from_sha256([7; 32]),
        }
    }

    #[test]
    fn what_is_saved_is_loaded_and_what_is_removed_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(dir.path()).unwrap();
        state.save(&wish("a")).unwrap();
        state.save(&wish("b.other")).unwrap();
        let mut changed = wish("a");
        changed.replicas = 5;
        state.save(&changed).unwrap();
        state.remove(&wish("b.other").spec.id).unwrap();
        state.remove(&wish("never").spec.id).unwrap();
        assert_eq!(state.load().unwrap(), [changed]);
    }

    #[test]
    fn a_torn_file_is_no_function_and_hinders_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(dir.path()).unwrap();
        let kept = wish("kept");
        state.save(&kept).unwrap();
        let folder = dir.path().join("functions/openfaas-fn");
        fs::write(folder.join("torn.tmp"), "{\"spec\":").unwrap();
        fs::write(folder.join("bad.json"), "{").unwrap();
        fs::copy(folder.join("kept.json"), folder.join("other.json")).unwrap();
        fs::write(folder.join("README"), "by hand").unwrap();
        fs::create_dir_all(folder.join("folder.json/folder.tmp")).unwrap();
        assert_eq!(state.load().unwrap(), [kept]);
        assert!(!folder.join("torn.tmp").exists());
        assert!(folder.join("README").exists() && folder.join("folder.json/folder.tmp").exists());
        assert!(folder.join("bad.json").exists(), "what cannot be read is not thrown away");
    }

    #[test]
    fn a_second_platform_is_refused_and_the_instance_stays() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(dir.path()).unwrap();
        let instance = state.instance().to_owned();
        assert!(matches!(State::open(dir.path()), Err(StateError::InUse(_))));
        drop(state);
        assert_eq!(State::open(dir.path()).unwrap().instance(), instance);
    }
}
