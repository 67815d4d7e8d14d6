//! From when to when a certificate holds.

use std::time::{Duration, SystemTime};

use rustls::pki_types::CertificateDer;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    pub from: SystemTime,
    pub to: SystemTime,
}

impl Validity {
    /// None when it is no X.509 certificate, or none of this age of the world.
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
        let time = |seconds: i64| {
            let since = Duration::from_secs(u64::try_from(seconds).ok()?);
            SystemTime::UNIX_EPOCH.checked_add(since)
        };
        let validity = parsed.validity();
        Some(Self { from: time(validity.not_before.timestamp())?, to: time(validity.not_after.timestamp())? })
    }

    /// What is wrong with serving it at `now`.
    pub fn problem(&self, now: SystemTime) -> Option<&'static str> {
        match now {
            now if now < self.from => Some("it is not valid yet"),
            now if now >= self.to => Some("it has expired"),
            _ => None,
        }
    }
}
