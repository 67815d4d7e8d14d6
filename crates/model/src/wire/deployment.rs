//! `FunctionDeployment`: the body of create and update (contract 2.4).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Every optional field may be absent or `null`; unknown keys (`network`, `registryAuth`, …) are ignored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FunctionDeployment {
    #[serde(default)]
    pub service: Option<String>,
    #[serde(default)]
    pub image: Option<String>,
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only_root_filesystem: Option<bool>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionResources {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<String>,
    #[serde(default, rename = "nvidia.com/gpu", skip_serializing_if = "Option::is_none")]
    pub nvidia_gpu: Option<String>,
    #[serde(default, rename = "amd.com/gpu", skip_serializing_if = "Option::is_none")]
    pub amd_gpu: Option<String>,
    #[serde(default, rename = "intel.com/gpu", skip_serializing_if = "Option::is_none")]
    pub intel_gpu: Option<String>,
}

pub(super) fn empty_map(map: &Option<BTreeMap<String, String>>) -> bool {
    map.as_ref().is_none_or(BTreeMap::is_empty)
}

pub(super) fn empty_list(list: &Option<Vec<String>>) -> bool {
    list.as_ref().is_none_or(Vec::is_empty)
}
