//! The JSON of the REST API, exactly as it travels. Not for use inside: see [`crate::convert`].

mod alert;
mod decode;
mod deployment;
mod info;
mod log;
mod namespace;
mod request;
mod secret;
mod status;
mod telemetry;

pub use alert::{Alert, AlertRequest};
pub use deployment::{FunctionDeployment, FunctionResources};
pub use info::{InfoResponse, ProviderResponse, VersionResponse};
pub use log::LogMessage;
pub use namespace::FunctionNamespace;
pub use request::{DeleteFunctionRequest, ScaleServiceRequest};
pub use secret::Secret;
pub use status::{FunctionStatusResponse, UsageResponse};
pub use telemetry::{TelemetryData, TelemetryResponse};

#[cfg(test)]
mod tests;
