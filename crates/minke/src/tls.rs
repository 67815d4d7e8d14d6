//! The platform's certificate: read from files, and served until other ones take its place.

pub mod certificates;
pub mod files;
mod validity;

use std::sync::Arc;

pub use certificates::Certificates;
pub use files::{CertificateFiles, TlsError};

use crate::config::TlsSettings;

/// Reads what is configured, and refuses what cannot be served.
pub fn load(settings: &TlsSettings) -> Result<Arc<Certificates>, TlsError> {
    let certificates = Certificates::default();
    certificates.replace(settings.files.read()?.certified(&settings.files)?);
    settings.files.warn_of_readers();
    Ok(Arc::new(certificates))
}
