//! The API's user and password: generated at first start, or read from where the contract's variable says.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

pub const USER_FILE: &str = "basic-auth-user";
pub const PASSWORD_FILE: &str = "basic-auth-password";
/// 32 letters and digits: 190 bits.
const PASSWORD_LENGTH: usize = 32;
const FILE_MAX: u64 = 4096;

#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    #[error("failed to read {path}")]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{path} is empty or too long; write the credential into it, or remove it to have one made")]
    Unusable { path: PathBuf },
    #[error("failed to write {path}")]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

pub struct Credentials {
    pub user: String,
    pub password: String,
    pub password_file: PathBuf,
}

impl Credentials {
    /// Both files of `folder`, which must be there.
    pub fn read(folder: &Path) -> Result<Self, CredentialsError> {
        let password_file = folder.join(PASSWORD_FILE);
        Ok(Self { user: read(&folder.join(USER_FILE))?, password: read(&password_file)?, password_file })
    }

    /// The platform's own: what is missing in `<data-dir>/auth` is made.
    pub fn ensure(data_dir: &Path) -> Result<Self, CredentialsError> {
        let folder = folder(data_dir);
        let write = |path: PathBuf| |source| CredentialsError::Write { path, source };
        fs::DirBuilder::new().mode(0o700).recursive(true).create(&folder).map_err(write(folder.clone()))?;
        for (name, make) in [(USER_FILE, admin as fn() -> io::Result<String>), (PASSWORD_FILE, password)] {
            let path = folder.join(name);
            if !path.exists() {
                make().and_then(|text| create(&path, &text)).map_err(write(path.clone()))?;
            }
        }
        Self::read(&folder)
    }
}

/// Where the platform keeps its own credentials.
pub fn folder(data_dir: &Path) -> PathBuf {
    data_dir.join("auth")
}

fn admin() -> io::Result<String> {
    Ok("admin".into())
}

/// Uniform over letters and digits: bytes that would favour some are thrown away.
fn password() -> io::Result<String> {
    const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut password = String::with_capacity(PASSWORD_LENGTH);
    while password.len() < PASSWORD_LENGTH {
        let mut bytes = [0; 64];
        getrandom::fill(&mut bytes).map_err(io::Error::other)?;
        let fair =
            bytes.iter().filter(|byte| **byte < 248).map(|byte| ALPHABET[usize::from(*byte) % 62] as char);
        password.extend(fair.take(PASSWORD_LENGTH - password.len()));
    }
    Ok(password)
}

fn read(path: &Path) -> Result<String, CredentialsError> {
    let failed = |source| CredentialsError::Read { path: path.to_owned(), source };
    if fs::metadata(path).map_err(failed)?.len() > FILE_MAX {
        return Err(CredentialsError::Unusable { path: path.to_owned() });
    }
    let text = fs::read_to_string(path).map_err(failed)?.trim().to_owned();
    if text.is_empty() { Err(CredentialsError::Unusable { path: path.to_owned() }) } else { Ok(text) }
}

/// Whole or not at all: a password half written would lock its owner out.
fn create(path: &Path, text: &str) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn made_once_and_for_the_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let first = Credentials::ensure(dir.path()).unwrap();
        assert_eq!((first.user.as_str(), first.password.len()), ("admin", PASSWORD_LENGTH));
        assert_eq!(fs::metadata(&first.password_file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(Credentials::ensure(dir.path()).unwrap().password, first.password);
        let other = tempfile::tempdir().unwrap();
        assert_ne!(Credentials::ensure(other.path()).unwrap().password, first.password);
    }

    #[test]
    fn an_empty_file_is_told_not_used() {
        let dir = tempfile::tempdir().unwrap();
        Credentials::ensure(dir.path()).unwrap();
        fs::write(folder(dir.path()).join(PASSWORD_FILE), "\n").unwrap();
        assert!(matches!(Credentials::ensure(dir.path()), Err(CredentialsError::Unusable { .. })));
    }
}
