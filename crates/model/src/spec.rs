//! What a user wishes a function to be.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{CallLimits, FunctionId, ImageRef, Quantity};

/// Longest single `KEY=value` that a process can be given (`MAX_ARG_STRLEN`, execve(2)).
pub const ENV_ENTRY_MAX: usize = 128 * 1024 - 1;
/// All environment variables of one function together, bytes.
pub const ENV_TOTAL_MAX: usize = 1024 * 1024;
/// All labels, or all annotations, of one function together, bytes (the Kubernetes bound for annotations).
pub const METADATA_TOTAL_MAX: usize = 256 * 1024;
/// Longest label or annotation key (a Kubernetes qualified name: 253 + '/' + 63).
pub const METADATA_KEY_MAX: usize = 317;
/// Most secrets, and most constraints, that one function may name.
pub const LIST_MAX: usize = 256;
/// No container can start in less: the process that sets it up would be killed first.
pub const MEMORY_LIMIT_MIN: u64 = 6 * 1024 * 1024;
/// The most that the kernel takes for a number of bytes; a quantity cannot be larger.
pub const MEMORY_LIMIT_MAX: u64 = i64::MAX.unsigned_abs();
/// The finest CPU share that cgroups can express (a quota of 1 ms in 100 ms), millicores.
pub const CPU_LIMIT_MIN: u64 = 10;
/// More cores than any host has, millicores.
pub const CPU_LIMIT_MAX: u64 = 10_000 * 1000;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct SpecError {
    /// The field of the request, as the client wrote it.
    pub field: String,
    pub problem: String,
}

/// A function as wished; whatever exists has passed [`FunctionSpec::validate`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionSpec {
    pub id: FunctionId,
    pub image: ImageRef,
    /// Becomes the variable `fprocess`, unless `env` holds one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env_process: Option<String>,
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Placement rules (`key=value`); providers with one node have nothing to choose and keep them as told.
    #[serde(default)]
    pub constraints: Vec<String>,
    #[serde(default)]
    pub secrets: BTreeSet<String>,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    #[serde(default)]
    pub limits: Resources,
    #[serde(default)]
    pub requests: Resources,
    /// The root file system is read-only and `/tmp` alone can be written.
    #[serde(default)]
    pub read_only_root: bool,
}

/// Memory in bytes, CPU in cores; absent means no bound.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Quantity>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Quantity>,
}

impl FunctionSpec {
    /// The smallest spec: everything else is the image's own.
    pub fn new(id: FunctionId, image: ImageRef) -> Self {
        Self {
            id,
            image,
            env_process: None,
            env: BTreeMap::new(),
            constraints: Vec::new(),
            secrets: BTreeSet::new(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            limits: Resources::default(),
            requests: Resources::default(),
            read_only_root: false,
        }
    }

    /// The process environment that the request adds to the image's own.
    pub fn environment(&self) -> BTreeMap<&str, &str> {
        let process = self.env_process.as_deref().map(|process| ("fprocess", process));
        process.into_iter().chain(self.env.iter().map(|(k, v)| (k.as_str(), v.as_str()))).collect()
    }

    pub fn validate(self) -> Result<Self, SpecError> {
        if let Some(process) = &self.env_process {
            check_env("envProcess", "fprocess", process)?;
        }
        let mut total = 0;
        for (key, value) in &self.env {
            check_env("envVars", key, value)?;
            total += key.len() + value.len() + 2;
        }
        if total > ENV_TOTAL_MAX {
            return Err(error(
                "envVars",
                format!("{total} bytes in all; at most {ENV_TOTAL_MAX} are allowed"),
            ));
        }
        check_metadata("labels", &self.labels)?;
        check_metadata("annotations", &self.annotations)?;
        CallLimits::parse(&self.annotations)?;
        check_list("constraints", self.constraints.len())?;
        check_list("secrets", self.secrets.len())?;
        for constraint in &self.constraints {
            if constraint.is_empty() || constraint.len() > METADATA_KEY_MAX * 2 || has_control(constraint) {
                return Err(error("constraints", format!("{constraint:?} is not valid; write key=value")));
            }
        }
        for secret in &self.secrets {
            check_secret_name(secret)?;
        }
        self.limits.check("limits")?;
        self.requests.check("requests")?;
        Ok(self)
    }
}

impl Resources {
    pub fn is_empty(&self) -> bool {
        self.memory.is_none() && self.cpu.is_none()
    }

    fn check(&self, field: &str) -> Result<(), SpecError> {
        if field != "limits" {
            return Ok(());
        }
        if let Some(memory) = self.memory.filter(|m| m.whole() < MEMORY_LIMIT_MIN) {
            return Err(error(
                "limits.memory",
                format!("{memory} is too small to start in; use 6Mi or more"),
            ));
        }
        if let Some(cpu) = self.cpu.filter(|c| c.milli() > CPU_LIMIT_MAX) {
            return Err(error(
                "limits.cpu",
                format!("{cpu} is more than 10000 cores; leave it out for no limit"),
            ));
        }
        if let Some(cpu) = self.cpu.filter(|c| c.milli() < CPU_LIMIT_MIN) {
            return Err(error("limits.cpu", format!("{cpu} is too small to schedule; use 10m or more")));
        }
        Ok(())
    }
}

/// A secret's name: a DNS subdomain (RFC 1123), at most 253 characters.
pub fn check_secret_name(name: &str) -> Result<(), SpecError> {
    let label = |label: &str| {
        let edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let inner = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-';
        edge(label.as_bytes().first()) && edge(label.as_bytes().last()) && label.as_bytes().iter().all(inner)
    };
    if name.len() <= 253 && name.split('.').all(label) {
        return Ok(());
    }
    let shown: String = name.chars().take(64).collect();
    Err(error(
        "secrets",
        format!("{shown:?} is not a secret name; use lower-case letters, digits, '-' and '.'"),
    ))
}

fn check_env(field: &str, key: &str, value: &str) -> Result<(), SpecError> {
    let shown: String = key.chars().take(64).collect();
    if key.is_empty() || key.contains(['=', '\0']) {
        return Err(error(field, format!("{shown:?} cannot be the name of a variable")));
    }
    if value.contains('\0') {
        return Err(error(field, format!("the value of {shown:?} holds a NUL byte")));
    }
    if key.len() + value.len() + 1 > ENV_ENTRY_MAX {
        return Err(error(
            field,
            format!("{shown:?} is longer than {ENV_ENTRY_MAX} bytes; mount a file instead"),
        ));
    }
    Ok(())
}

pub(crate) fn check_metadata(field: &str, map: &BTreeMap<String, String>) -> Result<(), SpecError> {
    let total: usize = map.iter().map(|(k, v)| k.len() + v.len()).sum();
    if total > METADATA_TOTAL_MAX {
        return Err(error(field, format!("{total} bytes in all; at most {METADATA_TOTAL_MAX} are allowed")));
    }
    for key in map.keys() {
        if key.is_empty()
            || key.len() > METADATA_KEY_MAX
            || has_control(key)
            || key.contains(char::is_whitespace)
        {
            let shown: String = key.chars().take(64).collect();
            return Err(error(field, format!("{shown:?} is not a valid key")));
        }
    }
    match map.iter().find(|(_, value)| value.contains('\0')) {
        Some((key, _)) => Err(error(field, format!("the value of {key:?} holds a NUL byte"))),
        None => Ok(()),
    }
}

fn check_list(field: &str, length: usize) -> Result<(), SpecError> {
    match length {
        0..=LIST_MAX => Ok(()),
        _ => Err(error(field, format!("{length} entries; at most {LIST_MAX} are allowed"))),
    }
}

fn has_control(text: &str) -> bool {
    text.chars().any(char::is_control)
}

fn error(field: &str, problem: String) -> SpecError {
    SpecError { field: field.to_owned(), problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_have_bounds() {
        let check = |memory: &str, cpu: &str, expected: &str| {
            let resources =
                Resources { memory: Some(memory.parse().unwrap()), cpu: Some(cpu.parse().unwrap()) };
            let told = resources.check("limits").map_err(|error| error.to_string()).err().unwrap_or_default();
            assert!(told.starts_with(expected) && told.is_empty() == expected.is_empty(), "{told}");
        };
        check("6Mi", "10m", "");
        check("4Ei", "10000", "");
        check("5Mi", "1", "limits.memory: ");
        check("1Gi", "9m", "limits.cpu: ");
        check("1Gi", "10001", "limits.cpu: ");
    }
}
