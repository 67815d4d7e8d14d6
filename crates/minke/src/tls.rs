//! The platform's certificates: read from files or ordered, and served until other ones take their place.

pub mod certificates;
pub mod files;
mod validity;

use std::sync::Arc;

pub use certificates::Certificates;
pub use files::{CertificateFiles, TlsError};
pub use validity::Validity;

use crate::acme::Store;
use crate::config::TlsSettings;

/// Reads what is configured and what was ordered before, and refuses what cannot be served.
pub fn load(settings: &TlsSettings, store: Option<&Store>) -> Result<Arc<Certificates>, TlsError> {
    let ordered = settings.acme.iter().flat_map(|acme| &acme.domains).map(|name| {
        let certified = store.and_then(|store| store.certified(name));
        (name.clone(), certified)
    });
    let certificates = Certificates::new(ordered.collect());
    if let Some(files) = &settings.files {
        certificates.replace(files.read()?.certified(files)?);
        files.warn_of_readers();
    }
    Ok(Arc::new(certificates))
}
