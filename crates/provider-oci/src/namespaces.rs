//! Namespaces on disk: one file for each, `namespaces/<name>.json`. The default one is there without a file.

pub mod manage;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use model::spec::METADATA_TOTAL_MAX;
use model::{Namespace, NamespaceSpec};

use crate::durable::{self, FileError, at, list, make_dir};

const NAMESPACES_MAX: usize = 1024;
const TEMPORARY: &str = "tmp";

#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("namespace {0} is not found")]
    Missing(Namespace),
    #[error("namespace {0} already exists")]
    Exists(Namespace),
    #[error("namespace {0} is the default one and stays; remove its functions and secrets instead")]
    Default(Namespace),
    #[error("there are {NAMESPACES_MAX} namespaces, the most possible; remove some first")]
    TooMany,
    #[error("labels and annotations of a namespace are {0} bytes together, the most is {METADATA_TOTAL_MAX}")]
    TooLarge(usize),
}

/// Those that change something wait for the disk.
#[derive(Debug)]
pub struct Namespaces {
    folder: PathBuf,
    default: Namespace,
    known: Mutex<BTreeMap<Namespace, NamespaceSpec>>,
    /// One at a time; whoever only looks does not wait for the disk.
    change: Mutex<()>,
}

impl Namespaces {
    pub fn open(folder: PathBuf, default: Namespace) -> Result<Namespaces, NamespaceError> {
        make_dir(&folder)?;
        let mut known = BTreeMap::from([(default.clone(), NamespaceSpec::marked(default.clone()))]);
        for path in list(&folder)? {
            if path.extension().is_some_and(|extension| extension == TEMPORARY) {
                fs::remove_file(&path).map_err(at("remove", &path))?;
                continue;
            }
            match load(&path) {
                Ok(spec) if path.file_stem().is_some_and(|stem| stem == spec.name.as_str()) => {
                    known.insert(spec.name.clone(), spec);
                }
                Ok(_) => tracing::error!(?path, "namespace file names another namespace, it is left alone"),
                Err(error) => {
                    tracing::error!(?path, %error, "namespace file cannot be read, it is left alone")
                }
            }
        }
        Ok(Namespaces { folder, default, known: Mutex::new(known), change: Mutex::default() })
    }

    pub fn default(&self) -> &Namespace {
        &self.default
    }

    /// The default one first, the others by name.
    pub fn list(&self) -> Vec<Namespace> {
        let known = self.lock();
        let others = known.keys().filter(|name| **name != self.default);
        std::iter::once(&self.default).chain(others).cloned().collect()
    }

    pub fn get(&self, name: &Namespace) -> Option<NamespaceSpec> {
        self.lock().get(name).cloned()
    }

    pub fn contains(&self, name: &Namespace) -> bool {
        self.lock().contains_key(name)
    }

    pub fn create(&self, spec: NamespaceSpec) -> Result<(), NamespaceError> {
        let _change = self.change();
        if self.contains(&spec.name) {
            return Err(NamespaceError::Exists(spec.name));
        }
        if self.lock().len() >= NAMESPACES_MAX {
            return Err(NamespaceError::TooMany);
        }
        self.save(spec)
    }

    pub fn update(&self, spec: NamespaceSpec) -> Result<(), NamespaceError> {
        let _change = self.change();
        if !self.contains(&spec.name) {
            return Err(NamespaceError::Missing(spec.name));
        }
        self.save(spec)
    }

    /// Takes up one that functions or secrets of an earlier start live in, whatever became of its file.
    pub fn adopt(&self, name: &Namespace) {
        if self.contains(name) {
            return;
        }
        tracing::warn!(namespace = %name, "something is kept of a namespace that nobody made, it is taken up");
        let spec = NamespaceSpec::marked(name.clone());
        if let Err(error) = self.create(spec.clone()) {
            tracing::error!(namespace = %name, error = &error as &dyn std::error::Error, "namespace is not noted");
            self.lock().insert(spec.name.clone(), spec);
        }
    }

    pub fn remove(&self, name: &Namespace) -> Result<(), NamespaceError> {
        if *name == self.default {
            return Err(NamespaceError::Default(name.clone()));
        }
        let _change = self.change();
        if !self.contains(name) {
            return Err(NamespaceError::Missing(name.clone()));
        }
        durable::remove(&self.path(name))?;
        self.lock().remove(name);
        Ok(())
    }

    fn save(&self, spec: NamespaceSpec) -> Result<(), NamespaceError> {
        let pairs = spec.labels.iter().chain(&spec.annotations);
        let bytes = pairs.map(|(key, value)| key.len() + value.len()).sum();
        if bytes > METADATA_TOTAL_MAX {
            return Err(NamespaceError::TooLarge(bytes));
        }
        let path = self.path(&spec.name);
        let text = serde_json::to_vec_pretty(&spec).map_err(|error| at("write", &path)(error.into()))?;
        durable::replace(&path, &path.with_extension(TEMPORARY), &text)?;
        self.lock().insert(spec.name.clone(), spec);
        Ok(())
    }

    fn path(&self, name: &Namespace) -> PathBuf {
        self.folder.join(format!("{name}.json"))
    }

    fn change(&self) -> MutexGuard<'_, ()> {
        self.change.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Namespace, NamespaceSpec>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn load(path: &Path) -> std::io::Result<NamespaceSpec> {
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Namespace {
        Namespace::parse(text).unwrap()
    }

    #[test]
    fn namespaces_are_kept_and_the_default_one_is_first() {
        let dir = tempfile::tempdir().unwrap();
        let open = || Namespaces::open(dir.path().to_owned(), name("zero")).unwrap();
        let namespaces = open();
        let mut spec = NamespaceSpec::marked(name("a"));
        namespaces.create(spec.clone()).unwrap();
        namespaces.create(NamespaceSpec::marked(name("b"))).unwrap();
        assert!(matches!(namespaces.create(spec.clone()), Err(NamespaceError::Exists(_))));
        let default = NamespaceSpec::marked(name("zero"));
        assert!(matches!(namespaces.create(default), Err(NamespaceError::Exists(_))));
        spec.labels.insert("team".into(), "x".into());
        namespaces.update(spec.clone()).unwrap();
        assert!(matches!(
            namespaces.update(NamespaceSpec::marked(name("c"))),
            Err(NamespaceError::Missing(_))
        ));
        namespaces.remove(&name("b")).unwrap();
        assert!(matches!(namespaces.remove(&name("b")), Err(NamespaceError::Missing(_))));
        assert!(matches!(namespaces.remove(&name("zero")), Err(NamespaceError::Default(_))));
        let again = open();
        assert_eq!(again.list(), [name("zero"), name("a")]);
        assert_eq!(again.get(&name("a")), Some(spec));
        assert_eq!(again.get(&name("zero")), Some(NamespaceSpec::marked(name("zero"))));
    }

    #[test]
    fn torn_and_foreign_files_hinder_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let namespaces = Namespaces::open(dir.path().to_owned(), Namespace::default()).unwrap();
        namespaces.create(NamespaceSpec::marked(name("a"))).unwrap();
        fs::copy(dir.path().join("a.json"), dir.path().join("b.json")).unwrap();
        fs::write(dir.path().join("c.json"), "{").unwrap();
        fs::write(dir.path().join("d.tmp"), "{").unwrap();
        let again = Namespaces::open(dir.path().to_owned(), Namespace::default()).unwrap();
        assert_eq!(again.list(), [Namespace::default(), name("a")]);
        assert!(!dir.path().join("d.tmp").exists());
    }

    #[test]
    fn what_is_too_much_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let namespaces = Namespaces::open(dir.path().to_owned(), Namespace::default()).unwrap();
        let mut spec = NamespaceSpec::marked(name("a"));
        spec.annotations.insert("large".into(), "x".repeat(METADATA_TOTAL_MAX));
        assert!(matches!(namespaces.create(spec), Err(NamespaceError::TooLarge(_))));
        assert!(!namespaces.contains(&name("a")));
    }
}
