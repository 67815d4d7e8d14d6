//! The crate's integration tests: real archives, a real registry, real processes. They need root, as the platform does.
#![allow(clippy::unwrap_used)]

mod build;
mod fixture;
mod hostile;
mod import;
mod pull;
mod registry;
mod store;
