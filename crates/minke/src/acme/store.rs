//! What outlives the process: the account, the certificates with their keys, and how often was asked for each.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use instant_acme::AccountCredentials;
use rustls::sign::CertifiedKey;
use serde::{Deserialize, Serialize};

use super::AcmeError;
use crate::error::chain;
use crate::files::{read_text, replace_private};
use crate::tls::{CertificateFiles, Validity};

const FILE_MAX: u64 = 1024 * 1024;
const DIR_MODE: u32 = 0o700;

/// A folder for each directory of an ACME server: what one gave is nothing to another.
#[derive(Debug, Clone)]
pub struct Store(PathBuf);

#[derive(Serialize, Deserialize)]
pub struct StoredAccount {
    pub email: Option<String>,
    pub credentials: AccountCredentials,
}

impl Store {
    pub fn new(data_dir: &Path, directory: &str) -> Self {
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
        let name: String = directory.trim_start_matches("https://").chars().map(plain).take(200).collect();
        Self(data_dir.join("acme").join(name))
    }

    /// None when there is none, or none that can be used; the log says why.
    pub fn certified(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        let files = self.files(name);
        if !files.certificate.exists() {
            return None;
        }
        let read = || files.read()?.certified(&files);
        read()
            .inspect_err(|error| tracing::warn!(name, error = %chain(error), "a certificate is ordered anew"))
            .ok()
    }

    pub fn validity(&self, name: &str) -> Option<Validity> {
        Validity::of(self.certified(name)?.cert.first()?)
    }

    /// Kept only when it can be served.
    pub fn keep_certificate(&self, name: &str, pem: &str) -> Result<Arc<CertifiedKey>, AcmeError> {
        let files = self.files(name);
        let certified = files.parse(pem).map_err(AcmeError::Unusable)?;
        self.keep(files.certificate, pem)?;
        Ok(certified)
    }

    pub fn account(&self) -> Option<StoredAccount> {
        let path = self.account_file();
        match read_text(&path, FILE_MAX) {
            Ok(text) => serde_json::from_str(&text)
                .inspect_err(|error| tracing::warn!(path = %path.display(), %error, "a new account is made"))
                .ok(),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "a new account is made");
                None
            }
        }
    }

    pub fn keep_account(&self, account: &StoredAccount) -> Result<(), AcmeError> {
        let path = self.account_file();
        let text = serde_json::to_string(account)
            .map_err(|error| AcmeError::Keep { path: path.clone(), source: io::Error::other(error) })?;
        self.keep(path, &text)
    }

    /// It is of no use any more.
    pub fn forget_account(&self) {
        // What stays is tried, refused and forgotten again.
        let _ = std::fs::remove_file(self.account_file());
    }

    pub fn attempts(&self, name: &str) -> Vec<SystemTime> {
        let text = read_text(&self.attempts_file(name), FILE_MAX).unwrap_or_default();
        let time = |line: &str| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(line.parse().ok()?));
        text.lines().filter_map(time).collect()
    }

    pub fn keep_attempts(&self, name: &str, attempts: &[SystemTime]) -> Result<(), AcmeError> {
        let seconds =
            |at: &SystemTime| at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let text: String = attempts.iter().map(|at| format!("{}\n", seconds(at))).collect();
        self.keep(self.attempts_file(name), &text)
    }

    fn keep(&self, path: PathBuf, text: &str) -> Result<(), AcmeError> {
        replace_private(&path, DIR_MODE, text).map_err(|source| AcmeError::Keep { path, source })
    }

    /// One file, so that a certificate never stands beside the key of another.
    fn files(&self, name: &str) -> CertificateFiles {
        let path = self.0.join(format!("{name}.pem"));
        CertificateFiles { certificate: path.clone(), key: path }
    }

    fn account_file(&self) -> PathBuf {
        self.0.join("account.json")
    }

    fn attempts_file(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}.attempts"))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_is_kept_is_found_and_nobody_else_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path(), "https://acme.example/directory");
        assert!(store.certified("a.example").is_none() && store.attempts("a.example").is_empty());
        let made = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
        let pem = format!("{}{}", made.signing_key.serialize_pem(), made.cert.pem());
        store.keep_certificate("a.example", &pem).unwrap();
        assert_eq!(store.certified("a.example").unwrap().cert, [made.cert.der().clone()]);
        assert!(store.validity("a.example").is_some());
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        store.keep_attempts("a.example", &[at]).unwrap();
        assert_eq!(store.attempts("a.example"), [at]);
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&store.files("a.example").key), 0o600);
        assert_eq!((mode(&store.0), mode(&dir.path().join("acme"))), (0o700, 0o700));
        assert!(Store::new(dir.path(), "https://other.example/directory").certified("a.example").is_none());
    }

    #[test]
    fn what_cannot_be_served_is_not_kept() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path(), "https://acme.example/directory");
        let error = store.keep_certificate("a.example", "no PEM").unwrap_err();
        assert!(error.to_string().contains("cannot be used"), "{error}");
        assert!(!store.files("a.example").key.exists());
        std::fs::create_dir_all(&store.0).unwrap();
        std::fs::write(store.files("a.example").key, "no PEM").unwrap();
        assert!(store.certified("a.example").is_none());
    }
}
