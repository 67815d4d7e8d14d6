//! Certificates that are ordered, and renewed in time, from an ACME server (RFC 8555), proved by HTTP-01.

mod client;
mod order;
mod schedule;
mod store;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use gateway::Challenges;
use instant_acme::Account;
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinSet;
use tokio::time::timeout;

pub use store::Store;

use crate::config::{AcmeSettings, Config};
use crate::error::chain;
use crate::tls::{Certificates, TlsError};
use schedule::Schedule;

/// Orders at once.
const ORDERS_MAX: usize = 4;
/// From the first word to the server to the certificate.
const ORDER_TIMEOUT: Duration = Duration::from_secs(120);
/// The clock on the wall may be set, and machines sleep: it is looked at this often at least.
const LOOK_EVERY: Duration = Duration::from_secs(600);

#[derive(Debug, thiserror::Error)]
pub enum AcmeError {
    #[error("failed to read {path}; an ACME server is known by PEM certificates")]
    Roots {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("there is no certificate in {path}; it must be PEM, those that the ACME server is known by")]
    NoRoots { path: PathBuf },
    #[error("failed to load the system's certificates; install ca-certificates, or give --acme-ca")]
    SystemRoots(#[source] io::Error),
    #[error("failed to keep {path}")]
    Keep {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the ACME server does not offer HTTP-01 for the name")]
    NoHttp01,
    #[error(
        "the ACME server could not see that the name leads here: {0}; port 80 of the name must lead to --listen"
    )]
    Unproved(String),
    #[error("the ACME server refused: {0}")]
    Refused(String),
    #[error("no word from the ACME server within {} seconds", ORDER_TIMEOUT.as_secs())]
    Timeout,
    #[error("the certificate from the ACME server cannot be used")]
    Unusable(#[source] TlsError),
}

/// All that orders need.
struct Orders {
    settings: AcmeSettings,
    store: Store,
    certificates: Arc<Certificates>,
    challenges: Challenges,
    places: Semaphore,
    account: Mutex<Option<Account>>,
}

/// Where what was ordered is kept; refuses settings that no order could be made with.
pub fn store(config: &Config) -> Result<Option<Store>, AcmeError> {
    let Some(acme) = config.tls.as_ref().and_then(|tls| tls.acme.as_ref()) else { return Ok(None) };
    if let Some(ca) = &acme.ca {
        client::roots(ca)?;
    }
    Ok(Some(Store::new(&config.data_dir, &acme.directory)))
}

/// Orders what is missing and renews what is there, for as long as the set lives. Nothing waits for it.
pub fn start(
    config: &Config,
    certificates: Option<&Arc<Certificates>>,
    challenges: &Challenges,
) -> JoinSet<()> {
    let settings = config.tls.as_ref().and_then(|tls| tls.acme.clone());
    let (Some(settings), Some(certificates)) = (settings, certificates) else { return JoinSet::new() };
    let orders = Arc::new(Orders {
        store: Store::new(&config.data_dir, &settings.directory),
        certificates: Arc::clone(certificates),
        challenges: challenges.clone(),
        places: Semaphore::new(ORDERS_MAX),
        account: Mutex::default(),
        settings,
    });
    orders.settings.domains.iter().map(|name| Arc::clone(&orders).keep(name.clone())).collect()
}

impl Orders {
    /// Keeps one name in certificates.
    async fn keep(self: Arc<Self>, name: String) {
        let mut schedule = Schedule::new(self.store.validity(&name), self.store.attempts(&name));
        loop {
            let now = SystemTime::now();
            if let Some(wait) = schedule.wait(now) {
                tokio::time::sleep(wait.min(LOOK_EVERY)).await;
                continue;
            }
            // Never closed, so there is always a permit.
            let _place = self.places.acquire().await.ok();
            schedule.begin(now);
            if let Err(error) = self.store.keep_attempts(&name, schedule.attempts()) {
                tracing::warn!(name, error = %chain(&error), "attempts are not remembered across restarts");
            }
            tracing::info!(name, "ordering a certificate");
            let outcome = timeout(ORDER_TIMEOUT, self.order(&name)).await.unwrap_or(Err(AcmeError::Timeout));
            match outcome {
                Ok(validity) => {
                    schedule.succeeded(validity);
                    tracing::info!(name, "a new certificate is served");
                }
                Err(error) => {
                    schedule.failed(SystemTime::now());
                    let retry = schedule.wait(SystemTime::now()).unwrap_or_default().as_secs();
                    tracing::error!(name, error = %chain(&error), retry_seconds = retry, "no certificate");
                }
            }
        }
    }
}
