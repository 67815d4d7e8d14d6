//! What only functions may read: a name, and bytes that are never shown.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::spec::check_secret_name;
use crate::{Namespace, SpecError};

/// Largest value, bytes (the bound of a Kubernetes secret).
pub const SECRET_MAX: usize = 1024 * 1024;

/// A DNS subdomain (RFC 1123), at most 253 characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SecretName(String);

/// A secret's full address.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SecretId {
    pub namespace: Namespace,
    pub name: SecretName,
}

/// The exact bytes that a function reads; neither shown nor logged.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretValue(Vec<u8>);

impl SecretName {
    pub fn parse(text: &str) -> Result<Self, SpecError> {
        check_secret_name(text)
            .map(|()| Self(text.to_owned()))
            .map_err(|error| SpecError { field: "name".to_owned(), ..error })
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl SecretId {
    pub fn new(name: SecretName, namespace: Namespace) -> Self {
        Self { namespace, name }
    }
}

impl SecretValue {
    /// Fails on one that is larger than [`SECRET_MAX`]; tells nothing of what is in it.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, SpecError> {
        let bytes = bytes.into();
        if bytes.len() > SECRET_MAX {
            let problem = format!("{} bytes; at most {SECRET_MAX} are allowed", bytes.len());
            return Err(SpecError { field: "value".to_owned(), problem });
        }
        Ok(Self(bytes))
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretValue(…)")
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for SecretId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of namespace {}", self.name, self.namespace)
    }
}

impl TryFrom<String> for SecretName {
    type Error = SpecError;

    fn try_from(text: String) -> Result<Self, SpecError> {
        Self::parse(&text)
    }
}

impl From<SecretName> for String {
    fn from(name: SecretName) -> Self {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_not_shown_and_has_a_bound() {
        let value = SecretValue::new("s3cret").unwrap();
        assert_eq!(format!("{value:?}"), "SecretValue(…)");
        assert!(SecretValue::new(vec![0; SECRET_MAX]).is_ok());
        let told = SecretValue::new(vec![b'x'; SECRET_MAX + 1]).unwrap_err().to_string();
        assert_eq!(told, "value: 1048577 bytes; at most 1048576 are allowed");
    }
}
