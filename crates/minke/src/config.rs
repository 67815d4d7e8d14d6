//! The platform's settings, resolved once: flag, else environment, else file, else default.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, ValueEnum};
use model::Namespace;
use model::duration::parse_duration;
use model::env::{self, openfaas};
use serde::Deserialize;

/// Read when it is there and nobody names another.
const FILE_DEFAULT: &str = "/etc/minke/minke.yaml";
const FILE_MAX: u64 = 1024 * 1024;
const LISTEN_DEFAULT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8080);
const METRICS_DEFAULT: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8082);
pub const DATA_DIR_DEFAULT: &str = "/var/lib/minke";
/// The contract's default for all three timeouts.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(60);

/// The flags of `minke up`; each can also be a variable or a line of the file.
#[derive(Debug, Default, Args)]
pub struct Flags {
    /// Address of the API and of the functions [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,
    /// Address of /metrics, for Prometheus [default: 127.0.0.1:8082]
    #[arg(long, value_name = "ADDR")]
    pub metrics_listen: Option<String>,
    /// Where everything is kept: functions, images, the password [default: /var/lib/minke]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Let everyone who can connect manage functions
    #[arg(long)]
    pub no_auth: bool,
    /// Build and deploy the sample function `hello`
    #[arg(long)]
    pub demo: bool,
    /// Where functions run [default: oci, or remote when a provider URL is given]
    #[arg(long, value_enum)]
    pub provider: Option<ProviderKind>,
    /// The faas-provider server that the provider `remote` drives
    #[arg(long, value_name = "URL")]
    pub provider_url: Option<String>,
    /// Settings file [default: /etc/minke/minke.yaml, when it is there]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

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

#[derive(Debug, Clone, PartialEq, Eq)]
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
    pub insecure_registries: Vec<String>,
    pub log: String,
    pub log_json: bool,
    /// Settings that were overlooked, as the contract wants, but that the user should hear of.
    pub warnings: Vec<String>,
}

/// The settings file; keys are those of the flags.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct File {
    listen: Option<String>,
    metrics_listen: Option<String>,
    data_dir: Option<PathBuf>,
    no_auth: Option<bool>,
    demo: Option<bool>,
    provider: Option<ProviderKind>,
    provider_url: Option<String>,
    namespace: Option<String>,
    scale_from_zero: Option<bool>,
    read_timeout: Option<String>,
    write_timeout: Option<String>,
    upstream_timeout: Option<String>,
    insecure_registries: Vec<String>,
    log: Option<String>,
    log_format: Option<String>,
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
        let file = File::load(flags.config.as_deref().or(variable(env::CONFIG).map(Path::new)))?;
        let mut warnings = Vec::new();

        let mut first = Sources { variables, warnings: &mut warnings };
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
        let kind = first.parsed(None, env::PROVIDER, None, "provider", PROVIDER)?;

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
        let data_dir =
            flags.data_dir.or_else(|| variable(env::DATA_DIR).map(PathBuf::from)).or(file.data_dir);
        let insecure = variable(env::INSECURE_REGISTRIES).map(|list| {
            list.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
        });
        let log_format = variable(env::LOG_FORMAT).cloned().or(file.log_format);
        let log_json = match log_format.as_deref() {
            None | Some("text") => false,
            Some("json") => true,
            Some(other) => return Err(value_error("log-format", other, "text or json")),
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
            namespace: namespace.unwrap_or_default(),
            scale_from_zero: variable(openfaas::SCALE_FROM_ZERO)
                .map(|value| value == "true")
                .or(file.scale_from_zero)
                .unwrap_or(true),
            read_timeout,
            write_timeout,
            upstream_timeout,
            insecure_registries: insecure.unwrap_or(file.insecure_registries),
            log: variable(env::LOG).cloned().or(file.log).unwrap_or_else(|| "info".into()),
            log_json,
            warnings,
        })
    }
}

impl File {
    fn load(named: Option<&Path>) -> Result<Self, ConfigError> {
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

/// How one kind of value is read, and what it is called when it cannot be.
type Reader<T> = (fn(&str) -> Option<T>, &'static str);

const ADDRESS: Reader<SocketAddr> =
    (|text| SocketAddr::from_str(text).ok(), "an address like 127.0.0.1:8080");
const NAMESPACE: Reader<Namespace> =
    (|text| Namespace::parse(text).ok(), "a namespace: lower-case letters, digits and '-'");
const PROVIDER: Reader<ProviderKind> =
    (|text| ProviderKind::from_str(text, false).ok(), "a provider: oci, memory or remote");

struct Sources<'a> {
    variables: &'a BTreeMap<String, String>,
    warnings: &'a mut Vec<String>,
}

impl Sources<'_> {
    /// The first of flag, variable and file that is set, read.
    fn parsed<T>(
        &self,
        flag: Option<String>,
        variable: &str,
        file: Option<String>,
        key: &str,
        (read, expected): Reader<T>,
    ) -> Result<Option<T>, ConfigError> {
        let from_env = self.variables.get(variable).filter(|value| !value.is_empty());
        let (origin, value) = match (flag, from_env, file) {
            (Some(value), ..) => (format!("--{key}"), value),
            (None, Some(value), _) => (variable.to_owned(), value.clone()),
            (None, None, Some(value)) => (key.to_owned(), value),
            (None, None, None) => return Ok(None),
        };
        read(&value).map(Some).ok_or_else(|| value_error(origin, value, expected))
    }

    /// Zero is no limit for nobody: it is refused in the file, and overlooked in a variable, as the contract has it.
    fn timeout(&mut self, variable: &str, file: Option<String>) -> Result<Duration, ConfigError> {
        let positive = |text: &str| parse_duration(text).filter(|duration| !duration.is_zero());
        if let Some(value) = self.variables.get(variable).filter(|value| !value.is_empty()) {
            return Ok(positive(value).unwrap_or_else(|| {
                self.warnings
                    .push(format!("{variable}={value} is not a duration; using {TIMEOUT_DEFAULT:?}"));
                TIMEOUT_DEFAULT
            }));
        }
        match file {
            Some(value) => positive(&value).ok_or_else(|| {
                value_error(variable.replace('_', "-"), value, "a duration like 60s or 1m30s")
            }),
            None => Ok(TIMEOUT_DEFAULT),
        }
    }

    fn switch(&self, flag: bool, variable: &str, file: Option<bool>) -> Result<bool, ConfigError> {
        if flag {
            return Ok(true);
        }
        match self.variables.get(variable).map(String::as_str) {
            None | Some("") => Ok(file.unwrap_or(false)),
            Some("true" | "1") => Ok(true),
            Some("false" | "0") => Ok(false),
            Some(other) => Err(value_error(variable, other, "true or false")),
        }
    }
}

fn value_error(origin: impl Into<String>, value: impl Into<String>, expected: &'static str) -> ConfigError {
    ConfigError::Value { origin: origin.into(), value: value.into(), expected }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(flags: Flags, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let variables = variables.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        Config::resolve(flags, &variables)
    }

    fn with_file(text: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        resolve(Flags { config: Some(file.path().to_owned()), ..Flags::default() }, variables)
    }

    #[test]
    fn flag_beats_variable_beats_file_beats_default() {
        assert_eq!(resolve(Flags::default(), &[]).unwrap().listen.port(), 8080);
        let file = "listen: 127.0.0.1:1\nread-timeout: 5\n";
        assert_eq!(with_file(file, &[]).unwrap().listen.port(), 1);
        assert_eq!(with_file(file, &[]).unwrap().read_timeout, Duration::from_secs(5));
        assert_eq!(with_file(file, &[("MINKE_LISTEN", "127.0.0.1:2")]).unwrap().listen.port(), 2);
        let flags = Flags { listen: Some("127.0.0.1:3".into()), ..Flags::default() };
        assert_eq!(resolve(flags, &[("MINKE_LISTEN", "127.0.0.1:2")]).unwrap().listen.port(), 3);
    }

    #[test]
    fn the_contracts_variables_keep_their_meaning() {
        let config = resolve(
            Flags::default(),
            &[
                ("functions_provider_url", "http://127.0.0.1:8081/"),
                ("upstream_timeout", "1m5s"),
                ("read_timeout", "soon"),
                ("basic_auth", "false"),
                ("function_namespace", "dev"),
            ],
        )
        .unwrap();
        assert_eq!(config.provider, ProviderKind::Remote);
        assert_eq!(config.upstream_timeout, Duration::from_secs(65));
        assert_eq!((config.read_timeout, config.warnings.len()), (TIMEOUT_DEFAULT, 1));
        assert!(!config.auth);
        assert_eq!(config.namespace.as_str(), "dev");
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let check = |flags: Flags, variables: &[(&str, &str)], message: &str| {
            assert_eq!(resolve(flags, variables).unwrap_err().to_string(), message);
        };
        let listen = Flags { listen: Some("8080".into()), ..Flags::default() };
        check(listen, &[], "--listen: \"8080\" is not an address like 127.0.0.1:8080");
        check(
            Flags::default(),
            &[("MINKE_METRICS_LISTEN", "x")],
            "MINKE_METRICS_LISTEN: \"x\" is not an address like 127.0.0.1:8080",
        );
        check(
            Flags::default(),
            &[("MINKE_PROVIDER", "docker")],
            "MINKE_PROVIDER: \"docker\" is not a provider: oci, memory or remote",
        );
        check(
            Flags { provider: Some(ProviderKind::Remote), ..Flags::default() },
            &[],
            "the provider `remote` needs an address; give --provider-url http://HOST:8081/",
        );
        assert!(matches!(
            resolve(Flags::default(), &[("MINKE_LITSEN", "x")]),
            Err(ConfigError::UnknownVariable { name }) if name == "MINKE_LITSEN"
        ));
        assert!(matches!(with_file("litsen: x\n", &[]), Err(ConfigError::File { .. })));
        assert!(matches!(with_file("read-timeout: 0\n", &[]), Err(ConfigError::Value { .. })));
    }
}
