//! Names of functions and namespaces: DNS labels (RFC 1123), at most 63 characters.
//!
//! A function is addressed as `name` or `name.namespace`; a name itself therefore never holds a dot.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Longest DNS label (RFC 1035, 2.3.4).
pub const NAME_MAX: usize = 63;

/// The namespace that clients append when they are told none (`faas-cli invoke`, the Go SDK).
pub const DEFAULT_NAMESPACE: &str = "openfaas-fn";

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("{kind} is empty; give it a name of lower-case letters, digits and '-'")]
    Empty { kind: &'static str },
    #[error("{kind} {name:?} is {length} characters long; at most {NAME_MAX} are allowed")]
    TooLong { kind: &'static str, name: String, length: usize },
    #[error(
        "{kind} {name:?} is not valid; use lower-case letters, digits and '-', \
         starting and ending with a letter or digit"
    )]
    Charset { kind: &'static str, name: String },
    #[error("namespace \"kube-system\" is reserved; choose another")]
    Reserved,
}

/// The name of a function, unique in its namespace. Clones share it: each call carries some.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FunctionName(Arc<str>);

/// A group of functions; `openfaas-fn` unless configured otherwise.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Namespace(Arc<str>);

/// A function's full address, shown as `name.namespace` (the form metrics and URLs use).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FunctionId {
    pub namespace: Namespace,
    pub name: FunctionName,
}

impl FunctionName {
    pub fn parse(text: &str) -> Result<Self, NameError> {
        check("function name", text).map(|()| Self(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Namespace {
    pub fn parse(text: &str) -> Result<Self, NameError> {
        check("namespace", text)?;
        if text == "kube-system" {
            return Err(NameError::Reserved);
        }
        Ok(Self(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Namespace {
    fn default() -> Self {
        Self(DEFAULT_NAMESPACE.into())
    }
}

impl FunctionId {
    pub fn new(name: FunctionName, namespace: Namespace) -> Self {
        Self { namespace, name }
    }

    /// Splits `name[.namespace]` at the last dot, as URLs and alert labels write it.
    pub fn parse(text: &str, default: &Namespace) -> Result<Self, NameError> {
        match text.rsplit_once('.') {
            Some((name, namespace)) => {
                Ok(Self::new(FunctionName::parse(name)?, Namespace::parse(namespace)?))
            }
            None => Ok(Self::new(FunctionName::parse(text)?, default.clone())),
        }
    }
}

fn check(kind: &'static str, text: &str) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty { kind });
    }
    if text.len() > NAME_MAX {
        let name = text.chars().take(NAME_MAX).collect();
        return Err(NameError::TooLong { kind, name, length: text.chars().count() });
    }
    let alphanumeric = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    let inside = bytes.iter().all(|b| alphanumeric(b) || *b == b'-');
    let ends = bytes.first().is_some_and(alphanumeric) && bytes.last().is_some_and(alphanumeric);
    if inside && ends { Ok(()) } else { Err(NameError::Charset { kind, name: text.to_owned() }) }
}

macro_rules! text_newtype {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::parse(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0.as_ref().to_owned()
            }
        }
    };
}

text_newtype!(FunctionName);
text_newtype!(Namespace);

impl fmt::Display for FunctionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.name, self.namespace)
    }
}

impl fmt::Debug for FunctionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_dns_labels() {
        let long = "a".repeat(64);
        for good in ["a", "hello", "figlet-2", "0a", &long[..63]] {
            assert!(FunctionName::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a_b", "a.b", "a/b", "ä", "a b", "a\0", &long] {
            assert!(FunctionName::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn ids_split_at_the_last_dot() {
        let default = Namespace::default();
        let check = |text: &str, want: Option<(&str, &str)>| {
            let got = FunctionId::parse(text, &default).ok();
            let got = got.as_ref().map(|id| (id.name.as_str(), id.namespace.as_str()));
            assert_eq!(got, want, "{text:?}");
        };
        check("env", Some(("env", "openfaas-fn")));
        check("env.dev", Some(("env", "dev")));
        check("a.b.c", None);
        check(".openfaas-fn", None);
        check("env.", None);
        check("", None);
        check("env.kube-system", None);
    }
}
