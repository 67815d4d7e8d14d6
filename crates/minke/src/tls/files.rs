//! A certificate and its key as files.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error as RustlsError, InconsistentKeys};

use super::validity::Validity;
use crate::files::read_text;

/// Longest of either file, bytes.
const FILE_MAX: u64 = 1024 * 1024;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// What the files hold, as text.
#[derive(Clone, PartialEq, Eq)]
pub struct Pair {
    certificate: String,
    key: String,
}

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("failed to read {path}")]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(
        "there is no certificate in {path}; it must be PEM: the server's own certificate, then those that vouch for it"
    )]
    NoCertificate { path: PathBuf },
    #[error("there is no private key in {path}; it must be PEM, with a line `BEGIN PRIVATE KEY`")]
    NoKey { path: PathBuf },
    #[error(
        "the key in {path} is encrypted; write it without passphrase: openssl pkey -in {path} -out NEW.pem"
    )]
    EncryptedKey { path: PathBuf },
    #[error(
        "the key in {key} is not that of the first certificate in {certificate}; give the two that belong together"
    )]
    Mismatch { certificate: PathBuf, key: PathBuf },
    #[error("{path} cannot be used")]
    Unusable {
        path: PathBuf,
        #[source]
        source: RustlsError,
    },
}

impl CertificateFiles {
    pub fn read(&self) -> Result<Pair, TlsError> {
        let read = |path: &Path| {
            read_text(path, FILE_MAX).map_err(|source| TlsError::Read { path: path.to_owned(), source })
        };
        Ok(Pair { certificate: read(&self.certificate)?, key: read(&self.key)? })
    }

    /// What both files would hold if each held `pem`.
    pub fn parse(&self, pem: &str) -> Result<Arc<CertifiedKey>, TlsError> {
        Pair { certificate: pem.to_owned(), key: pem.to_owned() }.certified(self)
    }

    /// A key that others can read is no secret, but no reason to serve nothing either.
    pub fn warn_of_readers(&self) {
        let mode = std::fs::metadata(&self.key).map(|metadata| metadata.permissions().mode());
        if mode.is_ok_and(|mode| mode & 0o004 != 0) {
            let key = self.key.display();
            tracing::warn!(%key, "every user of this machine can read the private key; chmod 600 it");
        }
    }
}

impl Pair {
    /// What can be served; `files` is where it came from.
    pub fn certified(&self, files: &CertificateFiles) -> Result<Arc<CertifiedKey>, TlsError> {
        let no_certificate = || TlsError::NoCertificate { path: files.certificate.clone() };
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(self.certificate.as_bytes()).collect();
        let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or_else(no_certificate)?;
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).map_err(|_| {
            let path = files.key.clone();
            let encrypted = ["ENCRYPTED PRIVATE KEY", "Proc-Type: 4,ENCRYPTED"];
            match encrypted.iter().any(|sign| self.key.contains(sign)) {
                true => TlsError::EncryptedKey { path },
                false => TlsError::NoKey { path },
            }
        })?;
        let validity = Validity::of(&chain[0]);
        let certified =
            CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(|error| match error {
                RustlsError::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                    TlsError::Mismatch { certificate: files.certificate.clone(), key: files.key.clone() }
                }
                RustlsError::InvalidCertificate(_) => {
                    TlsError::Unusable { path: files.certificate.clone(), source: error }
                }
                source => TlsError::Unusable { path: files.key.clone(), source },
            })?;
        if let Some(problem) = validity.and_then(|validity| validity.problem(SystemTime::now())) {
            let certificate = files.certificate.display();
            tracing::warn!(%certificate, problem, "clients will refuse the certificate");
        }
        Ok(Arc::new(certified))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made() -> Pair {
        let made = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
        Pair { certificate: made.cert.pem(), key: made.signing_key.serialize_pem() }
    }

    fn files() -> CertificateFiles {
        CertificateFiles { certificate: "/c.pem".into(), key: "/k.pem".into() }
    }

    #[test]
    fn a_pair_is_usable_also_from_one_file() {
        let pair = made();
        let both = format!("{}{}", pair.key, pair.certificate);
        for pair in [pair, Pair { certificate: both.clone(), key: both }] {
            assert_eq!(pair.certified(&files()).unwrap().cert.len(), 1);
        }
    }

    #[test]
    fn what_is_wrong_is_told() {
        let (one, other) = (made(), made());
        let check = |certificate: &str, key: &str, message: &str| {
            let pair = Pair { certificate: certificate.into(), key: key.into() };
            let told = pair.certified(&files()).unwrap_err().to_string();
            assert!(told.contains(message), "{told}");
        };
        check(
            &one.certificate,
            &other.key,
            "the key in /k.pem is not that of the first certificate in /c.pem",
        );
        check("", &one.key, "there is no certificate in /c.pem");
        check("not PEM", &one.key, "there is no certificate in /c.pem");
        check(&one.key, &one.key, "there is no certificate in /c.pem");
        check(&one.certificate, "", "there is no private key in /k.pem");
        check(&one.certificate, &one.certificate, "there is no private key in /k.pem");
        let wrapped = |label: &str| format!("-----BEGIN {label}-----\nMAA=\n-----END {label}-----\n");
        check(&one.certificate, &wrapped("ENCRYPTED PRIVATE KEY"), "the key in /k.pem is encrypted");
        check(&one.certificate, &wrapped("PRIVATE KEY"), "/k.pem cannot be used");
        check(&wrapped("CERTIFICATE"), &one.key, "/c.pem cannot be used");
        let missing = CertificateFiles { certificate: "/no/such/file".into(), key: "/k.pem".into() };
        assert_eq!(missing.read().err().unwrap().to_string(), "failed to read /no/such/file");
    }
}
