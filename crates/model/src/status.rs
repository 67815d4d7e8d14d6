//! What is observed of a function, and of the platform itself.

use jiff::Timestamp;

use crate::FunctionSpec;

/// A function as it is now.
#[derive(Debug, Clone, PartialEq)]
pub struct FunctionStatus {
    pub spec: FunctionSpec,
    /// Replicas wished for.
    pub replicas: u32,
    /// Replicas that take calls.
    pub available: u32,
    pub created_at: Timestamp,
    /// Completed calls, as far as the one who answers knows; a provider knows of none.
    pub invocations: u64,
    pub usage: Option<Usage>,
}

/// Summed over the replicas of one function.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Usage {
    pub cpu_milli: f64,
    pub memory_bytes: f64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionInfo {
    pub release: String,
    pub sha: String,
    pub commit_message: Option<String>,
}

/// Who runs the functions, and on what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderInfo {
    pub name: String,
    pub orchestration: String,
    pub version: VersionInfo,
}

/// What `GET /system/info` tells; every part is always there, because clients fail on null.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformInfo {
    pub provider: ProviderInfo,
    pub version: VersionInfo,
    /// As Go names architectures: `amd64`, `arm64`.
    pub arch: String,
}
