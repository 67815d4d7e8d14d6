//! Namespaces that functions may live in.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Namespace;

/// The label, and the annotation, that make a namespace one for functions; their value is `1`.
pub const NAMESPACE_MARK: &str = "openfaas";

/// A namespace as wished.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamespaceSpec {
    pub name: Namespace,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
}

impl NamespaceSpec {
    /// One for functions, with nothing but the marks that say so.
    pub fn marked(name: Namespace) -> Self {
        let mark = || BTreeMap::from([(NAMESPACE_MARK.to_owned(), "1".to_owned())]);
        Self { name, labels: mark(), annotations: mark() }
    }
}
