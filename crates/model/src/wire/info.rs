//! `GET /system/info` (contract 1.3.8).

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct InfoResponse {
    /// Absent or `null` in some foreign gateways; never in ours.
    #[serde(default)]
    pub provider: Option<ProviderResponse>,
    #[serde(default)]
    pub version: Option<VersionResponse>,
    #[serde(default)]
    pub arch: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ProviderResponse {
    #[serde(default)]
    pub provider: String,
    #[serde(default)]
    pub version: VersionResponse,
    #[serde(default)]
    pub orchestration: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct VersionResponse {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit_message: Option<String>,
    #[serde(default)]
    pub sha: String,
    #[serde(default)]
    pub release: String,
}
