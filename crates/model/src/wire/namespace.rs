//! `FunctionNamespace`: what creates, changes and tells one (contract 1.3.9).

use std::collections::BTreeMap;

use serde::Serialize;

use super::decode::go_object;
use super::deployment::empty_map;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FunctionNamespace {
    pub name: Option<String>,
    #[serde(skip_serializing_if = "empty_map")]
    pub annotations: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "empty_map")]
    pub labels: Option<BTreeMap<String, String>>,
}

go_object!(FunctionNamespace { name: "name", annotations: "annotations", labels: "labels" });
