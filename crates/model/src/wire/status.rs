//! `FunctionStatus`: what list and get answer (contract 2.5). Zero and empty are left out, save for `createdAt` and
//! the two maps that clients index without looking.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, Serializer};

use super::deployment::{FunctionResources, empty_list, empty_map};

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FunctionStatusResponse {
    pub name: String,
    #[serde(default)]
    pub image: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env_process: Option<String>,
    #[serde(default, skip_serializing_if = "empty_map")]
    pub env_vars: Option<BTreeMap<String, String>>,
    #[serde(default, skip_serializing_if = "empty_list")]
    pub constraints: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "empty_list")]
    pub secrets: Option<Vec<String>>,
    #[serde(default)]
    pub labels: Option<BTreeMap<String, String>>,
    #[serde(default)]
    pub annotations: Option<BTreeMap<String, String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<FunctionResources>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<FunctionResources>,
    #[serde(default, skip_serializing_if = "is_false")]
    pub read_only_root_filesystem: bool,
    /// A float on the wire: Go's `float64`.
    #[serde(default, skip_serializing_if = "is_zero_float", serialize_with = "as_go_prints")]
    pub invocation_count: f64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub replicas: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub available_replicas: u64,
    /// RFC 3339; absent in some foreign providers' answers.
    #[serde(default)]
    pub created_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<UsageResponse>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct UsageResponse {
    /// Thousandths of a core.
    #[serde(default, serialize_with = "as_go_prints")]
    pub cpu: f64,
    #[serde(default, serialize_with = "as_go_prints")]
    pub total_memory_bytes: f64,
}

/// A whole number has no point: `42`, where serde would write `42.0`.
fn as_go_prints<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    // Every whole number up to 2^53 is exact in both.
    let is_whole = value.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(value);
    if is_whole { serializer.serialize_u64(*value as u64) } else { serializer.serialize_f64(*value) }
}

fn is_false(value: &bool) -> bool {
    !*value
}

fn is_zero(value: &u64) -> bool {
    *value == 0
}

fn is_zero_float(value: &f64) -> bool {
    *value == 0.0
}
