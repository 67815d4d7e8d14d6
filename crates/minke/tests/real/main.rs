//! The real platform: the binary as users run it, containers, a registry, and kills. Needs root and Linux.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod acme;
mod compat;
mod conformance;
mod crash;
mod demo;
mod grpc;
mod isolation;
mod leaks;
mod load;
mod openapi;
mod platform;
mod prometheus;
mod registry;
mod settings;
mod zero_loss;
