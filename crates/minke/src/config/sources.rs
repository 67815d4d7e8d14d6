//! One setting from the places where it can be: flag, variable, file.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum;
use gateway::AccessFormat;
use model::duration::parse_duration;
use model::{Namespace, Quantity};

use super::{ConfigError, ProviderKind, TIMEOUT_DEFAULT};

/// How one kind of value is read, and what it is called when it cannot be.
pub(super) type Reader<T> = (fn(&str) -> Option<T>, &'static str);

pub(super) const ADDRESS: Reader<SocketAddr> =
    (|text| SocketAddr::from_str(text).ok(), "an address like 127.0.0.1:8080");
pub(super) const NAMESPACE: Reader<Namespace> =
    (|text| Namespace::parse(text).ok(), "a namespace: lower-case letters, digits and '-'");
pub(super) const PROVIDER: Reader<ProviderKind> =
    (|text| ProviderKind::from_str(text, false).ok(), "a provider: oci, memory or remote");
pub(super) const LOG_MAX: Reader<u64> = (
    |text| {
        let bytes = Quantity::from_str(text).ok()?.whole();
        (LOG_MAX_LEAST..=LOG_MAX_MOST).contains(&bytes).then_some(bytes)
    },
    "a number of bytes from 64Ki to 1Gi, like 10Mi",
);
const LOG_MAX_LEAST: u64 = 64 * 1024;
const LOG_MAX_MOST: u64 = 1024 * 1024 * 1024;

/// `off` is no format.
pub(super) const ACCESS_LOG: Reader<Option<AccessFormat>> = (
    |text| match text {
        "off" => Some(None),
        text => text.parse().ok().map(Some),
    },
    "off, text or json",
);

pub(super) struct Sources<'a> {
    pub variables: &'a BTreeMap<String, String>,
    pub warnings: &'a mut Vec<String>,
}

impl Sources<'_> {
    /// An empty one is none.
    pub fn variable(&self, name: &str) -> Option<&String> {
        self.variables.get(name).filter(|value| !value.is_empty())
    }

    /// The first of flag, variable and file that is set, read.
    pub fn parsed<T>(
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
    pub fn timeout(&mut self, variable: &str, file: Option<String>) -> Result<Duration, ConfigError> {
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

    pub fn switch(&self, flag: bool, variable: &str, file: Option<bool>) -> Result<bool, ConfigError> {
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

pub(super) fn value_error(
    origin: impl Into<String>,
    value: impl Into<String>,
    expected: &'static str,
) -> ConfigError {
    ConfigError::Value { origin: origin.into(), value: value.into(), expected }
}
