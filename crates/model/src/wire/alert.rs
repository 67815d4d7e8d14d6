//! What AlertManager posts to `/system/alert` (contract 1.3.10); the rest of its payload means nothing here.

use std::collections::BTreeMap;

use serde::Serialize;

use super::decode::go_object;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AlertRequest {
    /// Of the group; for alerts that do not tell their own.
    pub status: Option<String>,
    pub alerts: Option<Vec<Alert>>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Alert {
    /// `firing` or `resolved`.
    pub status: Option<String>,
    pub labels: Option<BTreeMap<String, String>>,
}

go_object!(AlertRequest { status: "status", alerts: "alerts" });
go_object!(Alert { status: "status", labels: "labels" });
