//! The small bodies: delete and scale (contract 1.3.3, 1.3.5).

use serde::Serialize;

use super::decode::go_object;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct DeleteFunctionRequest {
    pub function_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ScaleServiceRequest {
    pub service_name: Option<String>,
    pub replicas: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

go_object!(DeleteFunctionRequest { function_name: "functionName", namespace: "namespace" });
go_object!(ScaleServiceRequest { service_name: "serviceName", replicas: "replicas", namespace: "namespace" });
