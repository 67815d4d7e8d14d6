//! From settings to a running provider: one arm for each kind.

use std::sync::Arc;
use std::time::Duration;

use image::Store;
use provider::{Memory, Provider, Remote, RemoteConfig};
use provider_oci::{Oci, StoreImages};
use tokio::task::JoinHandle;

use crate::config::{Config, ConfigError, ProviderKind};
use crate::credentials::Credentials;
use crate::error::{Failure, chain};
use crate::images;

/// How often a provider that announces nothing is asked what there is.
const REMOTE_INTERVAL: Duration = Duration::from_secs(2);

/// How long a replica that is to end may take, when nothing else is said.
const GRACE: Duration = Duration::from_secs(10);

/// The contract's default, and how many replicas can have as much as they may.
const IDLE_MAX_DEFAULT: usize = 1024;
const IDLE_SHARE: usize = 16;

/// A provider, and what must end with it.
pub struct Running {
    pub provider: Arc<dyn Provider>,
    owned: Owned,
}

enum Owned {
    Nothing,
    Task(JoinHandle<()>),
    Containers(Oci),
}

pub async fn start(config: &Config, credentials: Option<&Credentials>) -> Result<Running, Failure> {
    match config.provider {
        ProviderKind::Oci => containers(config).await,
        ProviderKind::Memory => {
            let provider = Arc::new(Memory::new(config.namespace.clone()));
            Ok(Running { provider, owned: Owned::Nothing })
        }
        ProviderKind::Remote => {
            let url = config.provider_url.clone().unwrap_or_default();
            let remote =
                Arc::new(Remote::new(remote_config(config, credentials, url)).map_err(Failure::usage)?);
            let watch = tokio::spawn(Arc::clone(&remote).watch(REMOTE_INTERVAL));
            Ok(Running { provider: remote, owned: Owned::Task(watch) })
        }
    }
}

/// Whether a provider's address can be one; asks nobody.
pub fn check_url(url: &str) -> Result<(), ConfigError> {
    Remote::new(RemoteConfig::new(url)).map(drop).map_err(|_| ConfigError::Value {
        origin: "--provider-url".into(),
        value: url.into(),
        expected: "an address like http://127.0.0.1:8081/",
    })
}

impl Running {
    /// Puts functions to rest and leaves what was wished for.
    pub async fn stop(self) {
        match self.owned {
            Owned::Nothing => {}
            Owned::Task(task) => task.abort(),
            Owned::Containers(oci) => oci.shutdown().await,
        }
    }
}

async fn containers(config: &Config) -> Result<Running, Failure> {
    let settings = provider_oci::Config {
        data_dir: config.data_dir.clone(),
        namespace: config.namespace.clone(),
        secrets_key_file: config.secrets_key_file.clone(),
        log_max: config.log_max,
        idle_max: idle_max(config),
        grace: GRACE,
        version: crate::wiring::version(),
    };
    let folder = images::folder(&config.data_dir);
    let store =
        tokio::task::spawn_blocking(move || Store::open(folder)).await.map_err(anyhow::Error::from)?;
    let store = store.map_err(|error| Failure::usage(chain(&error)))?;
    let pull = images::pull_options(config.insecure_registries.clone());
    let images = Arc::new(StoreImages { store, pull });
    let oci = Oci::connect(settings, images).await.map_err(|error| Failure::usage(chain(&error)))?;
    Ok(Running { provider: Arc::new(oci.clone()), owned: Owned::Containers(oci) })
}

/// Idle connections to one replica, of which there may be many.
fn idle_max(config: &Config) -> usize {
    let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let share = descriptors.map_or(usize::MAX, |limit| limit as usize) / IDLE_SHARE;
    config.serving.idle_max.unwrap_or(IDLE_MAX_DEFAULT.min(share.max(1)))
}

/// The far side is given the same credentials as our own callers, when they are ones that both read from files.
fn remote_config(config: &Config, credentials: Option<&Credentials>, url: String) -> RemoteConfig {
    let shared = credentials.filter(|_| config.credentials_dir.is_some());
    let credentials = shared.map(|known| provider::Credentials::Basic {
        user: known.user.clone(),
        password: known.password.clone(),
    });
    RemoteConfig {
        credentials,
        timeout: config.upstream_timeout,
        idle_max: idle_max(config),
        namespace: config.namespace.clone(),
        ..RemoteConfig::new(url)
    }
}
