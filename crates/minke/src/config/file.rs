//! The settings as a file.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::domains::Domain;
use super::{ConfigError, ProviderKind};

/// Read when it is there and nobody names another.
pub(super) const FILE_DEFAULT: &str = "/etc/minke/minke.yaml";
const FILE_MAX: u64 = 1024 * 1024;

/// The settings file; keys are those of the flags.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct File {
    pub listen: Option<String>,
    pub metrics_listen: Option<String>,
    pub data_dir: Option<PathBuf>,
    pub no_auth: Option<bool>,
    pub demo: Option<bool>,
    pub provider: Option<ProviderKind>,
    pub provider_url: Option<String>,
    pub namespace: Option<String>,
    pub scale_from_zero: Option<bool>,
    pub read_timeout: Option<String>,
    pub write_timeout: Option<String>,
    pub upstream_timeout: Option<String>,
    pub workers: Option<String>,
    pub calls_max: Option<String>,
    pub connections_max: Option<String>,
    pub max_body: Option<String>,
    pub max_idle_conns: Option<String>,
    pub max_idle_conns_per_host: Option<String>,
    pub drain_delay: Option<String>,
    pub drain_grace: Option<String>,
    pub drain_timeout: Option<String>,
    pub insecure_registries: Vec<String>,
    pub secrets_key_file: Option<PathBuf>,
    pub log_max: Option<String>,
    pub tls_listen: Option<String>,
    pub tls_cert: Option<PathBuf>,
    pub tls_key: Option<PathBuf>,
    pub acme_domain: Vec<String>,
    pub acme_agree_tos: Option<bool>,
    pub acme_email: Option<String>,
    pub acme_directory: Option<String>,
    pub acme_ca: Option<PathBuf>,
    pub domains: Vec<Domain>,
    pub log: Option<String>,
    pub log_format: Option<String>,
    pub access_log: Option<String>,
    pub access_log_file: Option<PathBuf>,
}

impl File {
    pub fn load(named: Option<&Path>) -> Result<Self, ConfigError> {
        let path = named.unwrap_or(Path::new(FILE_DEFAULT));
        let failed = |problem: String| ConfigError::File { path: path.display().to_string(), problem };
        let metadata = match std::fs::metadata(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && named.is_none() => {
                return Ok(Self::default());
            }
            other => other.map_err(|error| failed(error.to_string()))?,
        };
        if metadata.len() > FILE_MAX || !metadata.is_file() {
            return Err(failed("it is not a file of at most 1 MiB".into()));
        }
        let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        serde_saphyr::from_str(&text).map_err(|error| failed(error.to_string()))
    }
}
