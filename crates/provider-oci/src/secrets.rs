//! Secrets on disk: one encrypted file for each, `secrets/<namespace>/<name>`.
//!
//! Namespace and name are bound to what is in a file, so that files cannot be exchanged for one another. A file that
//! cannot be read hinders the functions that name it, and nobody else.

mod key;
pub mod manage;

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use model::secret::SECRET_MAX;
use model::{Namespace, SecretId, SecretName, SecretValue};
use rustix::fs::MemfdFlags;
use zeroize::Zeroizing;

pub use key::KeyError;

use crate::container::{SECRETS_BYTES_MAX, SecretFile};
use crate::durable::{self, FileError, at, list, make_dir};
use key::KeyFile;

/// Of one namespace.
const SECRETS_MAX: usize = 4096;
/// Within a namespace's folder; no secret's name begins with a dot.
const TEMPORARY: &str = ".new";

#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("secret {0} is not found, create it first")]
    Missing(SecretId),
    #[error("secret {0} already exists; update it or remove it first")]
    Exists(SecretId),
    #[error(
        "secret {0} cannot be decrypted, it is damaged or of another key; put the key back or set the secret anew"
    )]
    Sealed(SecretId),
    #[error("namespace {0} holds {SECRETS_MAX} secrets, the most possible; remove some first")]
    TooMany(Namespace),
    #[error(
        "secrets of one function are {0} bytes together, the most is {SECRETS_BYTES_MAX}; name fewer or smaller ones"
    )]
    TooLarge(u64),
    #[error("failed to hand the secrets to the container")]
    HandOver(#[source] std::io::Error),
}

/// Every method waits for the disk.
#[derive(Debug)]
pub struct Secrets {
    folder: PathBuf,
    key: KeyFile,
    /// One change at a time.
    change: Mutex<()>,
}

/// What a container is given: names with lengths, and the bytes of all of them, one after another, in memory.
pub struct Handover {
    pub files: Vec<SecretFile>,
    pub content: Option<OwnedFd>,
}

impl Secrets {
    pub fn open(folder: PathBuf, key_file: PathBuf) -> Result<Secrets, SecretsError> {
        make_dir(&folder)?;
        let secrets = Secrets { folder, key: KeyFile::open(key_file)?, change: Mutex::default() };
        if secrets.key.is_missing() && !secrets.namespaces()?.is_empty() {
            let path = secrets.key.path();
            tracing::error!(?path, "the secrets' key is missing, functions that name secrets will not start");
        }
        Ok(secrets)
    }

    /// By name.
    pub fn list(&self, namespace: &Namespace) -> Result<Vec<SecretName>, SecretsError> {
        let mut names: Vec<_> = list(&self.folder.join(namespace.as_str()))?
            .iter()
            .filter_map(|path| SecretName::parse(path.file_name()?.to_str()?).ok())
            .collect();
        names.sort();
        Ok(names)
    }

    /// The namespaces that hold any.
    pub fn namespaces(&self) -> Result<Vec<Namespace>, SecretsError> {
        let mut found = Vec::new();
        for path in list(&self.folder)? {
            let name = path.file_name().and_then(|name| name.to_str());
            if let Some(namespace) = name.and_then(|name| Namespace::parse(name).ok())
                && !self.list(&namespace)?.is_empty()
            {
                found.push(namespace);
            }
        }
        Ok(found)
    }

    pub fn create(&self, id: &SecretId, value: &SecretValue) -> Result<(), SecretsError> {
        let _change = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        if self.path(id).exists() {
            return Err(SecretsError::Exists(id.clone()));
        }
        if self.list(&id.namespace)?.len() >= SECRETS_MAX {
            return Err(SecretsError::TooMany(id.namespace.clone()));
        }
        self.write(id, value)
    }

    pub fn update(&self, id: &SecretId, value: &SecretValue) -> Result<(), SecretsError> {
        let _change = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.path(id).exists() {
            return Err(SecretsError::Missing(id.clone()));
        }
        self.write(id, value)
    }

    pub fn remove(&self, id: &SecretId) -> Result<(), SecretsError> {
        let _change = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.path(id).exists() {
            return Err(SecretsError::Missing(id.clone()));
        }
        Ok(durable::remove(&self.path(id))?)
    }

    /// Removes the folder of a namespace that holds none.
    pub fn remove_namespace(&self, namespace: &Namespace) {
        let folder = self.folder.join(namespace.as_str());
        let _ = std::fs::remove_file(folder.join(TEMPORARY));
        let _ = std::fs::remove_dir(folder);
    }

    /// Whether all are there, and small enough together; how many bytes they are.
    pub fn check(&self, ids: &[SecretId]) -> Result<u64, SecretsError> {
        let mut total = 0;
        for id in ids {
            let path = self.path(id);
            let size = match path.metadata() {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    return Err(SecretsError::Missing(id.clone()));
                }
                metadata => metadata.map_err(at("examine", &path))?.len(),
            };
            total += size.saturating_sub(key::OVERHEAD as u64);
        }
        if total > SECRETS_BYTES_MAX { Err(SecretsError::TooLarge(total)) } else { Ok(total) }
    }

    /// The values, in the order of `ids`.
    pub fn hand_over(&self, ids: &[SecretId]) -> Result<Handover, SecretsError> {
        if ids.is_empty() {
            return Ok(Handover { files: Vec::new(), content: None });
        }
        self.check(ids)?;
        let content = rustix::fs::memfd_create("container-secrets", MemfdFlags::CLOEXEC);
        let content = content.map_err(|errno| SecretsError::HandOver(errno.into()))?;
        let mut content = std::fs::File::from(content);
        let (mut files, mut total) = (Vec::with_capacity(ids.len()), 0);
        for id in ids {
            let value = self.read(id)?;
            total += value.len() as u64;
            if total > SECRETS_BYTES_MAX {
                return Err(SecretsError::TooLarge(total));
            }
            content.write_all(&value).map_err(SecretsError::HandOver)?;
            files.push(SecretFile { name: id.name.to_string(), bytes: value.len() as u64 });
        }
        Ok(Handover { files, content: Some(content.into()) })
    }

    fn read(&self, id: &SecretId) -> Result<Zeroizing<Vec<u8>>, SecretsError> {
        let path = self.path(id);
        let file = match std::fs::File::open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(SecretsError::Missing(id.clone()));
            }
            file => file.map_err(at("open", &path))?,
        };
        let mut sealed = Vec::new();
        let bytes_max = (SECRET_MAX + key::OVERHEAD) as u64;
        file.take(bytes_max + 1).read_to_end(&mut sealed).map_err(at("read", &path))?;
        let key = self.key.existing()?;
        key::open(&key, &bound(id), sealed).ok_or_else(|| SecretsError::Sealed(id.clone()))
    }

    fn write(&self, id: &SecretId, value: &SecretValue) -> Result<(), SecretsError> {
        let is_first = self.key.is_missing() && self.namespaces()?.is_empty();
        let key = if is_first { self.key.existing_or_new()? } else { self.key.existing()? };
        let sealed = key::seal(&key, &bound(id), value.as_bytes())?;
        let folder = self.folder.join(id.namespace.as_str());
        make_dir(&folder)?;
        Ok(durable::replace(&self.path(id), &folder.join(TEMPORARY), &sealed)?)
    }

    fn path(&self, id: &SecretId) -> PathBuf {
        Path::new(&self.folder).join(id.namespace.as_str()).join(id.name.as_str())
    }
}

/// Neither name can hold a NUL byte.
fn bound(id: &SecretId) -> Vec<u8> {
    format!("minke secret\0{}\0{}", id.namespace, id.name).into_bytes()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn id(namespace: &str, name: &str) -> SecretId {
        SecretId::new(SecretName::parse(name).unwrap(), Namespace::parse(namespace).unwrap())
    }

    fn value(text: &str) -> SecretValue {
        SecretValue::new(text).unwrap()
    }

    fn store(dir: &Path) -> Secrets {
        Secrets::open(dir.join("secrets"), dir.join("secrets.key")).unwrap()
    }

    fn text(secrets: &Secrets, id: &SecretId) -> String {
        String::from_utf8(secrets.read(id).unwrap().to_vec()).unwrap()
    }

    #[test]
    fn secrets_come_change_and_go() {
        let dir = tempfile::tempdir().unwrap();
        let secrets = store(dir.path());
        let (a, b) = (id("one", "a.b-c"), id("two", "a.b-c"));
        assert!(matches!(secrets.update(&a, &value("x")), Err(SecretsError::Missing(_))));
        secrets.create(&a, &value("first")).unwrap();
        assert!(matches!(secrets.create(&a, &value("x")), Err(SecretsError::Exists(_))));
        secrets.create(&b, &value("")).unwrap();
        secrets.update(&a, &value("second\n\0")).unwrap();
        let again = store(dir.path());
        assert_eq!((text(&again, &a), text(&again, &b)), ("second\n\0".into(), String::new()));
        assert_eq!(again.list(&a.namespace).unwrap(), std::slice::from_ref(&a.name));
        again.remove(&a).unwrap();
        assert!(matches!(again.remove(&a), Err(SecretsError::Missing(_))));
        assert!(again.list(&a.namespace).unwrap().is_empty());
        assert_eq!(again.namespaces().unwrap(), [b.namespace]);
    }

    #[test]
    fn files_are_private_and_cannot_be_exchanged() {
        let dir = tempfile::tempdir().unwrap();
        let secrets = store(dir.path());
        let ids = [id("one", "a"), id("one", "b"), id("two", "a")];
        ids.iter().for_each(|id| secrets.create(id, &value(&format!("plain of {id}"))).unwrap());
        let path = |id: &SecretId| secrets.path(id);
        for path in ids.iter().map(path) {
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
            assert_eq!(path.parent().unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o700);
            let bytes = std::fs::read(path).unwrap();
            assert!(!bytes.windows(5).any(|window| window == b"plain"));
        }
        std::fs::copy(path(&ids[1]), path(&ids[0])).unwrap();
        std::fs::copy(path(&ids[1]), path(&ids[2])).unwrap();
        assert!(matches!(secrets.read(&ids[0]), Err(SecretsError::Sealed(_))));
        assert!(matches!(secrets.read(&ids[2]), Err(SecretsError::Sealed(_))));
        assert_eq!(text(&secrets, &ids[1]), "plain of b of namespace one");
    }

    #[test]
    fn no_new_key_is_made_while_secrets_of_a_lost_one_are_there() {
        let dir = tempfile::tempdir().unwrap();
        let a = id("one", "a");
        store(dir.path()).create(&a, &value("x")).unwrap();
        let key = dir.path().join("secrets.key");
        let kept = std::fs::read(&key).unwrap();
        std::fs::remove_file(&key).unwrap();
        let secrets = store(dir.path());
        let lost = |result: Result<(), SecretsError>| {
            assert!(matches!(result, Err(SecretsError::Key(KeyError::Lost(_)))), "{result:?}");
        };
        lost(secrets.create(&id("one", "b"), &value("x")));
        lost(secrets.update(&a, &value("x")));
        lost(secrets.read(&a).map(drop));
        assert!(!key.exists());
        durable::write_new(&key, &kept).unwrap();
        assert_eq!(text(&secrets, &a), "x");
    }

    #[test]
    fn what_one_function_gets_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let secrets = store(dir.path());
        let ids: Vec<_> = (0..17).map(|n| id("one", &format!("s{n}"))).collect();
        let large = SecretValue::new(vec![b'x'; SECRET_MAX]).unwrap();
        ids.iter().for_each(|id| secrets.create(id, &large).unwrap());
        assert!(matches!(secrets.check(&ids), Err(SecretsError::TooLarge(_))));
        assert!(matches!(secrets.hand_over(&ids), Err(SecretsError::TooLarge(_))));
        let handed = secrets.hand_over(&ids[..16]).unwrap();
        assert_eq!(handed.files.iter().map(|file| file.bytes).sum::<u64>(), SECRETS_BYTES_MAX);
        assert!(matches!(secrets.check(&[id("one", "nobody")]), Err(SecretsError::Missing(_))));
    }
}
