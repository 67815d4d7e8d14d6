//! The JSON of the REST API, exactly as it travels. Not for use inside: see [`crate::convert`].

mod deployment;
mod info;
mod request;
mod status;

pub use deployment::{FunctionDeployment, FunctionResources};
pub use info::{InfoResponse, ProviderResponse, VersionResponse};
pub use request::{DeleteFunctionRequest, ScaleServiceRequest};
pub use status::{FunctionStatusResponse, UsageResponse};
