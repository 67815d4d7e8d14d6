//! Which certificate a client is shown.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// What is served now. It changes while connections go on: each keeps what it was shown.
#[derive(Debug, Default)]
pub struct Certificates(ArcSwapOption<CertifiedKey>);

impl Certificates {
    /// Whether it is another one than before.
    pub fn replace(&self, certified: Arc<CertifiedKey>) -> bool {
        let before = self.0.swap(Some(Arc::clone(&certified)));
        before.is_none_or(|before| before.cert != certified.cert)
    }

    pub fn now(&self) -> Option<Arc<CertifiedKey>> {
        self.0.load_full()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.now()
    }
}
