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
            Err(error) => return Err(failed(format!("{error}; name another with --config"))),
            Ok(metadata) => metadata,
        };
        if metadata.len() > FILE_MAX || !metadata.is_file() {
            return Err(failed("it is not a file of at most 1 MiB".into()));
        }
        let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        serde_saphyr::from_str(&text).map_err(|error| failed(problem(&error)))
    }
}

/// The place first, as our messages have it, and no excerpt of the file, which may hold what is nobody's business.
fn problem(error: &serde_saphyr::Error) -> String {
    let text = error.without_snippet().to_string();
    let problem = text.split(" at line ").next().unwrap_or_default().trim();
    match error.location() {
        Some(at) => format!("line {}: {problem}", at.line()),
        None => problem.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_is_told_with_its_line_and_nothing_of_the_file_is_shown() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("minke.yaml");
        std::fs::write(&path, "log: s3cr3t\ndomainz: []\n").expect("a file");
        let told = File::load(Some(&path)).expect_err("a refusal").to_string();
        assert!(told.contains(": line 2: unknown field `domainz`, expected one of listen, "), "{told}");
        assert!(!told.contains("s3cr3t") && !told.contains('\n'), "{told}");
        assert_eq!(told.matches("domainz").count(), 1, "{told}");

        let told = File::load(Some(&dir.path().join("no.yaml"))).expect_err("a refusal").to_string();
        assert!(told.ends_with("; name another with --config"), "{told}");
    }
}
