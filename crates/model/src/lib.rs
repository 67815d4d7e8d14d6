//! Minke's domain: function names, specs, quantities, scale policy, and the shapes of the wire.
//!
//! What is here is valid by construction: a [`FunctionSpec`] that exists can be deployed. Nothing here does I/O,
//! reads a clock or is async. Wire types live in [`wire`] and meet the domain in [`convert`] alone.

pub mod convert;
pub mod duration;
pub mod env;
pub mod image;
pub mod limits;
pub mod log;
pub mod name;
pub mod namespace;
pub mod quantity;
pub mod scale;
pub mod secret;
pub mod spec;
pub mod status;
pub mod wire;

pub use image::ImageRef;
pub use limits::{CallLimits, Protocol};
pub use log::{LogLine, LogQuery};
pub use name::{FunctionId, FunctionName, NameError, Namespace};
pub use namespace::NamespaceSpec;
pub use quantity::{Quantity, QuantityError};
pub use secret::{SecretId, SecretName, SecretValue};
pub use spec::{FunctionSpec, Resources, SpecError};
pub use status::{FunctionStatus, PlatformInfo, ProviderInfo, Usage, VersionInfo};
