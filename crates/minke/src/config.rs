//! The platform's settings, resolved once: flag, else environment, else file, else default.

mod acme;
pub mod domains;
mod file;
mod flags;
mod serving;
mod sources;
mod tls;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;
use gateway::{AccessFormat, DomainError, DomainRule};
use model::Namespace;
use model::env::{self, openfaas};
use serde::Deserialize;

use crate::telemetry;

pub use acme::AcmeSettings;
pub use flags::Flags;
pub use serving::Serving;
pub use tls::TlsSettings;

use file::File;
use sources::{ACCESS_LOG, ADDRESS, LOG_MAX, NAMESPACE, PROVIDER, Sources, value_error};

const LISTEN_DEFAULT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8080);
const METRICS_DEFAULT: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8082);
pub const DATA_DIR_DEFAULT: &str = "/var/lib/minke";
/// The contract's default for all three timeouts.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(60);
const LOG_MAX_DEFAULT: u64 = 10 * 1024 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProviderKind {
    /// Containers on this host
    Oci,
    /// Nothing but this process: every function echoes what it is sent
    Memory,
    /// Another server that speaks the faas-provider API
    Remote,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    pub listen: SocketAddr,
    pub metrics_listen: SocketAddr,
    pub data_dir: PathBuf,
    pub auth: bool,
    /// Folder with the two credential files; the platform's own when none is set.
    pub credentials_dir: Option<PathBuf>,
    pub demo: bool,
    pub provider: ProviderKind,
    pub provider_url: Option<String>,
    pub namespace: Namespace,
    pub scale_from_zero: bool,
    pub read_timeout: Duration,
    pub write_timeout: Duration,
    pub upstream_timeout: Duration,
    pub serving: Serving,
    pub insecure_registries: Vec<String>,
    /// Beside the secrets when none is set.
    pub secrets_key_file: Option<PathBuf>,
    /// Kept of what each function writes, bytes.
    pub log_max: u64,
    pub tls: Option<TlsSettings>,
    pub domains: Vec<DomainRule>,
    /// Where the settings file is, or would be.
    pub file: PathBuf,
    pub log: String,
    pub log_json: bool,
    /// None writes none.
    pub access_log: Option<AccessFormat>,
    /// Standard error when none is set.
    pub access_log_file: Option<PathBuf>,
    /// None traces nothing.
    pub telemetry: Option<telemetry::Settings>,
    /// Settings that were overlooked, as the contract wants, but that the user should hear of.
    pub warnings: Vec<String>,
}

/// What is wrong with the settings, and what to do; nothing was touched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error("{origin}: {value:?} is not {expected}")]
    Value { origin: String, value: String, expected: &'static str },
    #[error("unknown variable {name}; known are: {}", env::MINKE.join(", "))]
    UnknownVariable { name: String },
    #[error("failed to read {path}: {problem}")]
    File { path: String, problem: String },
    #[error(transparent)]
    Tls(#[from] tls::TlsSettingsError),
    #[error(transparent)]
    Acme(#[from] acme::AcmeSettingsError),
    #[error(transparent)]
    Domain(#[from] DomainError),
    #[error("domains: {function:?} is no function; write NAME or NAME.NAMESPACE")]
    DomainFunction { function: String },
    #[error("the provider `remote` needs an address; give --provider-url http://HOST:8081/")]
    NoProviderUrl,
    #[error("--provider-url is for the provider `remote`; remove it, or choose --provider remote")]
    UnusedProviderUrl,
}

impl Config {
    pub fn resolve(flags: Flags, variables: &BTreeMap<String, String>) -> Result<Self, ConfigError> {
        let unknown = |name: &&String| name.starts_with("MINKE_") && !env::MINKE.contains(&name.as_str());
        if let Some(name) = variables.keys().find(unknown) {
            return Err(ConfigError::UnknownVariable { name: name.clone() });
        }
        let variable = |name: &str| variables.get(name).filter(|value| !value.is_empty());
        let named = flags.config.as_deref().or(variable(env::CONFIG).map(Path::new));
        let mut file = File::load(named)?;
        let path = named.unwrap_or(Path::new(file::FILE_DEFAULT)).to_owned();
        let mut warnings = Vec::new();

        let mut first = Sources { variables, warnings: &mut warnings };
        let serving = Serving::resolve(&first, &file)?;
        let acme = acme::resolve(&first, flags.acme, &mut file)?;
        let tls = tls::resolve(&first, flags.tls, acme, &mut file)?;
        let listen = first.parsed(flags.listen, env::LISTEN, file.listen, "listen", ADDRESS)?;
        let metrics_listen = first.parsed(
            flags.metrics_listen,
            env::METRICS_LISTEN,
            file.metrics_listen,
            "metrics-listen",
            ADDRESS,
        )?;
        let namespace =
            first.parsed(None, openfaas::FUNCTION_NAMESPACE, file.namespace, "namespace", NAMESPACE)?;
        let read_timeout = first.timeout(openfaas::READ_TIMEOUT, file.read_timeout)?;
        let write_timeout = first.timeout(openfaas::WRITE_TIMEOUT, file.write_timeout)?;
        let upstream_timeout = first.timeout(openfaas::UPSTREAM_TIMEOUT, file.upstream_timeout)?;
        let no_auth = first.switch(flags.no_auth, env::NO_AUTH, file.no_auth)?;
        let demo = first.switch(flags.demo, env::DEMO, file.demo)?;
        let log_max = first.parsed(flags.log_max, env::LOG_MAX, file.log_max, "log-max", LOG_MAX)?;
        let kind = first.parsed(None, env::PROVIDER, None, "provider", PROVIDER)?;

        let access_log =
            first.parsed(flags.access_log, env::ACCESS_LOG, file.access_log, "access-log", ACCESS_LOG)?;
        // Known to be about its being there alone.
        let access_log = access_log.unwrap_or_else(|| {
            variables.contains_key(openfaas::WRITE_REQUEST_URI).then_some(AccessFormat::Text)
        });
        let access_log_file =
            flags.access_log_file.or_else(|| variable(env::ACCESS_LOG_FILE).map(PathBuf::from));
        let access_log_file = access_log_file.or(file.access_log_file);
        if access_log.is_none() && access_log_file.is_some() {
            warnings.push("a file for the access log is named, but the access log is off; turn it on with --access-log text or json".into());
        }

        let provider_url = flags.provider_url.or_else(|| variable(env::PROVIDER_URL).cloned());
        let provider_url = provider_url.or_else(|| variable(openfaas::FUNCTIONS_PROVIDER_URL).cloned());
        let provider_url = provider_url.or(file.provider_url);
        let told = flags.provider.or(kind).or(file.provider);
        let inferred = if provider_url.is_some() { ProviderKind::Remote } else { ProviderKind::Oci };
        let provider = told.unwrap_or(inferred);
        match (provider, &provider_url) {
            (ProviderKind::Remote, None) => return Err(ConfigError::NoProviderUrl),
            (ProviderKind::Oci | ProviderKind::Memory, Some(_)) => {
                return Err(ConfigError::UnusedProviderUrl);
            }
            _ => {}
        }
        let namespace = namespace.unwrap_or_default();
        let domains = domains::rules(std::mem::take(&mut file.domains), &namespace)?;
        let data_dir =
            flags.data_dir.or_else(|| variable(env::DATA_DIR).map(PathBuf::from)).or(file.data_dir);
        let insecure = variable(env::INSECURE_REGISTRIES).map(|list| {
            list.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
        });
        let key_file = flags.secrets_key_file.or_else(|| variable(env::SECRETS_KEY_FILE).map(PathBuf::from));
        let (log_origin, log_format) = match variable(env::LOG_FORMAT) {
            Some(value) => (env::LOG_FORMAT, Some(value.clone())),
            None => ("log-format", file.log_format),
        };
        let log_json = match log_format.as_deref() {
            None | Some("text") => false,
            Some("json") => true,
            Some(other) => return Err(value_error(log_origin, other, "text or json")),
        };
        Ok(Self {
            listen: listen.unwrap_or(LISTEN_DEFAULT),
            metrics_listen: metrics_listen.unwrap_or(METRICS_DEFAULT),
            data_dir: data_dir.unwrap_or_else(|| DATA_DIR_DEFAULT.into()),
            // `basic_auth=false` of the contract is the same wish as --no-auth.
            auth: !no_auth && variable(openfaas::BASIC_AUTH).is_none_or(|value| value != "false"),
            credentials_dir: variable(openfaas::SECRET_MOUNT_PATH).map(PathBuf::from),
            demo,
            provider,
            provider_url,
            namespace,
            scale_from_zero: variable(openfaas::SCALE_FROM_ZERO)
                .map(|value| value == "true")
                .or(file.scale_from_zero)
                .unwrap_or(true),
            read_timeout,
            write_timeout,
            upstream_timeout,
            serving,
            insecure_registries: insecure.unwrap_or(file.insecure_registries),
            secrets_key_file: key_file.or(file.secrets_key_file),
            log_max: log_max.unwrap_or(LOG_MAX_DEFAULT),
            tls,
            domains,
            file: path,
            log: variable(env::LOG).cloned().or(file.log).unwrap_or_else(|| "info".into()),
            log_json,
            access_log,
            access_log_file,
            telemetry: telemetry::Settings::resolve(variables)?,
            warnings,
        })
    }
}

#[cfg(test)]
mod tests;
