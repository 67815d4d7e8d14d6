//! Which certificate a client is shown.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// Between two lines of the log about clients that ask for what is not there yet.
const COMPLAINT_EVERY: Duration = Duration::from_secs(60);

/// What is served now. It changes while connections go on: each keeps what it was shown.
#[derive(Debug, Default)]
pub struct Certificates {
    /// From files: for every name that is not ordered.
    files: ArcSwapOption<CertifiedKey>,
    /// By name, in lower case; none as long as there is nothing to serve for it.
    ordered: ArcSwap<HashMap<String, Option<Arc<CertifiedKey>>>>,
    complained: Mutex<Option<Instant>>,
}

impl Certificates {
    pub fn new(ordered: HashMap<String, Option<Arc<CertifiedKey>>>) -> Self {
        Self { ordered: ArcSwap::from_pointee(ordered), ..Self::default() }
    }

    /// Whether it is another one than before.
    pub fn replace(&self, certified: Arc<CertifiedKey>) -> bool {
        let before = self.files.swap(Some(Arc::clone(&certified)));
        before.is_none_or(|before| before.cert != certified.cert)
    }

    pub fn set_ordered(&self, name: &str, certified: Arc<CertifiedKey>) {
        self.ordered.rcu(|known| {
            let mut known = HashMap::clone(known);
            known.insert(name.to_owned(), Some(Arc::clone(&certified)));
            known
        });
    }

    /// For a client that asks for `name`, in lower case.
    pub fn now(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        match name.and_then(|name| self.ordered.load().get(name).cloned()) {
            Some(Some(certified)) => Some(certified),
            Some(None) => {
                self.complain(name.unwrap_or_default());
                None
            }
            None => self.files.load_full(),
        }
    }

    /// Anybody can make this happen, as often as they like.
    fn complain(&self, name: &str) {
        let mut last = self.complained.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if last.is_none_or(|last| last.elapsed() >= COMPLAINT_EVERY) {
            *last = Some(Instant::now());
            tracing::warn!(
                name,
                "a client is turned away: the ACME server has given no certificate for the name yet"
            );
        }
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // The library has put the name in lower case.
        self.now(hello.server_name())
    }
}

#[cfg(test)]
mod tests {
    use rustls::crypto::ring;

    use super::*;

    fn certified() -> Arc<CertifiedKey> {
        let made = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let chain = vec![made.cert.der().clone()];
        Arc::new(CertifiedKey::from_der(chain, key, &ring::default_provider()).unwrap())
    }

    #[test]
    fn the_name_chooses() {
        let names = ["a.example", "b.example"].map(|name| (name.to_owned(), None));
        let certificates = Certificates::new(names.into());
        let (files, ordered) = (certified(), certified());
        let check = |name: Option<&str>, want: Option<&Arc<CertifiedKey>>| {
            let shown = certificates.now(name);
            assert_eq!(shown.map(|shown| shown.cert.clone()), want.map(|want| want.cert.clone()), "{name:?}");
        };
        check(Some("x.example"), None);
        assert!(certificates.replace(Arc::clone(&files)));
        certificates.set_ordered("b.example", Arc::clone(&ordered));
        check(None, Some(&files));
        check(Some("x.example"), Some(&files));
        check(Some("a.example"), None);
        check(Some("b.example"), Some(&ordered));
    }
}
