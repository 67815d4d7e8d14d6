//! `FunctionDeployment`: the body of create and update (contract 2.4).

use std::collections::BTreeMap;

use serde::Serialize;

use super::decode::go_object;

/// Every field may be absent or `null`; unknown keys (`network`, `registryAuth`, …) are ignored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FunctionDeployment {
    pub service: Option<String>,
    pub image: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env_process: Option<String>,
    #[serde(skip_serializing_if = "empty_map")]
    pub env_vars: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "empty_list")]
    pub constraints: Option<Vec<String>>,
    #[serde(skip_serializing_if = "empty_list")]
    pub secrets: Option<Vec<String>>,
    pub labels: Option<BTreeMap<String, String>>,
    pub annotations: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<FunctionResources>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<FunctionResources>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_only_root_filesystem: Option<bool>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FunctionResources {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<String>,
    #[serde(rename = "nvidia.com/gpu", skip_serializing_if = "Option::is_none")]
    pub nvidia_gpu: Option<String>,
    #[serde(rename = "amd.com/gpu", skip_serializing_if = "Option::is_none")]
    pub amd_gpu: Option<String>,
    #[serde(rename = "intel.com/gpu", skip_serializing_if = "Option::is_none")]
    pub intel_gpu: Option<String>,
}

go_object!(FunctionDeployment {
    service: "service",
    image: "image",
    namespace: "namespace",
    env_process: "envProcess",
    env_vars: "envVars",
    constraints: "constraints",
    secrets: "secrets",
    labels: "labels",
    annotations: "annotations",
    limits: "limits",
    requests: "requests",
    read_only_root_filesystem: "readOnlyRootFilesystem",
});

go_object!(FunctionResources {
    memory: "memory",
    cpu: "cpu",
    nvidia_gpu: "nvidia.com/gpu",
    amd_gpu: "amd.com/gpu",
    intel_gpu: "intel.com/gpu",
});

pub(super) fn empty_map(map: &Option<BTreeMap<String, String>>) -> bool {
    map.as_ref().is_none_or(BTreeMap::is_empty)
}

pub(super) fn empty_list(list: &Option<Vec<String>>) -> bool {
    list.as_ref().is_none_or(Vec::is_empty)
}
