//! `GET /system/telemetry` (contract 1.3.11): what a paid edition reports to its vendor. Here nothing is reported to
//! anybody, and the answer says so; what is counted is this platform's own and stays on it.

use serde::Serialize;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TelemetryResponse {
    /// The release of the platform, under both names that clients look for.
    pub s: String,
    pub v: String,
    /// Always `false`: nothing leaves the machine.
    pub sent: bool,
    pub data: TelemetryData,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TelemetryData {
    pub total_fns: usize,
    pub total_namespaces: usize,
    pub total_replicas: usize,
}
