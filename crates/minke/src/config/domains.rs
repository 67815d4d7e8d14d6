//! The map of hosts and paths to functions, as the settings file writes it.

use std::path::Path;

use gateway::{DomainRule, Domains};
use model::{FunctionId, Namespace};
use serde::Deserialize;

use super::ConfigError;
use super::file::File;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Domain {
    host: String,
    #[serde(default = "everything")]
    path: String,
    function: String,
    #[serde(default)]
    keep_path: bool,
}

fn everything() -> String {
    "/".to_owned()
}

/// The map as it is now; what else the file says takes a restart.
pub fn load(file: &Path, namespace: &Namespace) -> Result<Vec<DomainRule>, ConfigError> {
    rules(File::load(Some(file))?.domains, namespace)
}

/// Refuses what cannot be served, all of it.
pub(super) fn rules(domains: Vec<Domain>, namespace: &Namespace) -> Result<Vec<DomainRule>, ConfigError> {
    let rule = |Domain { host, path, function, keep_path }| match FunctionId::parse(&function, namespace) {
        Ok(function) => Ok(DomainRule { host, path, function, keep_path }),
        Err(_) => Err(ConfigError::DomainFunction { function }),
    };
    let rules: Vec<DomainRule> = domains.into_iter().map(rule).collect::<Result<_, _>>()?;
    Domains::default().replace(rules.clone())?;
    Ok(rules)
}
