//! The key that secrets are encrypted with: 32 random bytes in a file that its owner alone may read.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::{Zeroize, Zeroizing};

use crate::durable::{self, FileError, at};

const KEY_BYTES: usize = 32;
/// First bytes of a sealed file: what it is, and how it is sealed.
const MAGIC: &[u8; 4] = b"MKS1";
/// What sealing adds: the magic, the nonce, the tag.
pub const OVERHEAD: usize = MAGIC.len() + NONCE_LEN + 16;

#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("{path} cannot be the secrets' key: {problem}")]
    Unfit { path: PathBuf, problem: String },
    #[error("secrets are stored but their key {0} is missing, put it back or remove the secrets' folder")]
    Lost(PathBuf),
    #[error("no random bytes can be had from the kernel")]
    Random,
}

/// The key, made when it is first needed.
#[derive(Debug)]
pub struct KeyFile {
    path: PathBuf,
    key: Mutex<Option<Arc<LessSafeKey>>>,
}

impl KeyFile {
    /// Fails on a key that is there and cannot be used; one that is missing must have a folder to be made in.
    pub fn open(path: PathBuf) -> Result<KeyFile, KeyError> {
        let key = load(&path)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if key.is_none() && !folder.is_dir() {
            return Err(unfit(&path, "its folder does not exist, create the folder or name another file"));
        }
        Ok(KeyFile { path, key: Mutex::new(key.map(Arc::new)) })
    }

    pub fn is_missing(&self) -> bool {
        self.lock().is_none()
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The key of what is stored already.
    pub fn existing(&self) -> Result<Arc<LessSafeKey>, KeyError> {
        self.get(|path| Err(KeyError::Lost(path.to_owned())))
    }

    pub fn existing_or_new(&self) -> Result<Arc<LessSafeKey>, KeyError> {
        self.get(|path| {
            create(path)?;
            load(path)?.ok_or_else(|| KeyError::Lost(path.to_owned()))
        })
    }

    fn get(
        &self,
        missing: impl FnOnce(&Path) -> Result<LessSafeKey, KeyError>,
    ) -> Result<Arc<LessSafeKey>, KeyError> {
        let mut known = self.lock();
        if let Some(key) = &*known {
            return Ok(Arc::clone(key));
        }
        let key = match load(&self.path)? {
            Some(key) => key,
            None => missing(&self.path)?,
        };
        Ok(Arc::clone(known.insert(Arc::new(key))))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Arc<LessSafeKey>>> {
        self.key.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Encrypts in place; `bound` must be told again to read it.
pub fn seal(key: &LessSafeKey, bound: &[u8], plain: &[u8]) -> Result<Vec<u8>, KeyError> {
    let mut nonce = [0; NONCE_LEN];
    SystemRandom::new().fill(&mut nonce).map_err(|_| KeyError::Random)?;
    let mut sealed = Vec::with_capacity(plain.len() + OVERHEAD);
    sealed.extend_from_slice(MAGIC);
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(plain);
    let body = &mut sealed[MAGIC.len() + NONCE_LEN..];
    let tag = key.seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(bound), body);
    let Ok(tag) = tag else {
        sealed.zeroize();
        return Err(KeyError::Random);
    };
    sealed.extend_from_slice(tag.as_ref());
    Ok(sealed)
}

/// `None` when it was sealed with another key, bound to something else, or changed since.
pub fn open(key: &LessSafeKey, bound: &[u8], mut sealed: Vec<u8>) -> Option<Zeroizing<Vec<u8>>> {
    let rest = sealed.strip_prefix(MAGIC)?;
    let nonce = Nonce::try_assume_unique_for_key(rest.get(..NONCE_LEN)?).ok()?;
    let length =
        key.open_in_place(nonce, Aad::from(bound), &mut sealed[MAGIC.len() + NONCE_LEN..]).ok()?.len();
    let mut plain = Zeroizing::new(sealed);
    plain.drain(..MAGIC.len() + NONCE_LEN);
    plain.truncate(length);
    Some(plain)
}

/// `None` when there is no such file.
fn load(path: &Path) -> Result<Option<LessSafeKey>, KeyError> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(at("open", path))?,
    };
    let metadata = file.metadata().map_err(at("examine", path))?;
    if !metadata.is_file() {
        return Err(unfit(path, "it is not a file"));
    }
    if metadata.mode() & 0o077 != 0 {
        return Err(unfit(path, "others may read or write it, set its mode to 0600"));
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(KEY_BYTES + 1));
    file.take(KEY_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(at("read", path))?;
    if bytes.len() != KEY_BYTES {
        return Err(unfit(path, "a key is 32 bytes long, make one with: head -c 32 /dev/urandom"));
    }
    let key = UnboundKey::new(&CHACHA20_POLY1305, &bytes).map_err(|_| unfit(path, "it is not a key"))?;
    Ok(Some(LessSafeKey::new(key)))
}

/// A key that another platform has just made at the same place stays.
fn create(path: &Path) -> Result<(), KeyError> {
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    SystemRandom::new().fill(&mut *bytes).map_err(|_| KeyError::Random)?;
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{:08x}", fastrand::u32(..)));
    let temporary = PathBuf::from(temporary);
    durable::write_new(&temporary, &*bytes)?;
    let linked = match fs::hard_link(&temporary, path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(at("create", path)(error)),
        _ => Ok(()),
    };
    durable::remove(&temporary)?;
    Ok(linked?)
}

fn unfit(path: &Path, problem: &str) -> KeyError {
    KeyError::Unfit { path: path.to_owned(), problem: problem.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let file = KeyFile::open(path.clone()).unwrap();
        assert!(file.is_missing() && !path.exists(), "nobody has needed it yet");
        assert!(matches!(file.existing(), Err(KeyError::Lost(_))));
        let key = file.existing_or_new().unwrap();
        let metadata = path.metadata().unwrap();
        assert_eq!((metadata.len(), metadata.mode() & 0o777), (32, 0o600));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing lies beside it");
        let sealed = seal(&key, b"a", b"s3cret").unwrap();
        let again = KeyFile::open(path).unwrap();
        assert_eq!(open(&again.existing().unwrap(), b"a", sealed).unwrap().as_slice(), b"s3cret");
    }

    #[test]
    fn a_key_that_is_no_key_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let check = |name: &str, bytes: usize, mode: u32, problem: &str| {
            let path = dir.path().join(name);
            fs::write(&path, vec![7; bytes]).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = KeyFile::open(path).map(drop).unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
        };
        check("short", 31, 0o600, "32 bytes");
        check("long", 33, 0o600, "32 bytes");
        check("empty", 0, 0o600, "32 bytes");
        check("group", 32, 0o640, "0600");
        check("world", 32, 0o604, "0600");
        let error = |path: &Path| KeyFile::open(path.to_owned()).map(drop).unwrap_err().to_string();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
        assert!(error(dir.path()).contains("not a file"));
        assert!(error(&dir.path().join("nowhere/key")).contains("folder does not exist"));
    }

    #[test]
    fn what_was_changed_or_moved_cannot_be_opened() {
        let dir = tempfile::tempdir().unwrap();
        let new = |name: &str| KeyFile::open(dir.path().join(name)).unwrap().existing_or_new().unwrap();
        let (key, other) = (new("a"), new("b"));
        let sealed = seal(&key, b"here", b"s3cret").unwrap();
        assert!(open(&other, b"here", sealed.clone()).is_none());
        assert!(open(&key, b"there", sealed.clone()).is_none());
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(open(&key, b"here", changed).is_none(), "{at}");
            assert!(open(&key, b"here", sealed[..at].to_vec()).is_none(), "{at}");
        }
        assert_ne!(seal(&key, b"here", b"s3cret").unwrap(), sealed, "no nonce comes twice");
    }
}
