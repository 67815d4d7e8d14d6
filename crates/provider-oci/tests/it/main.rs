//! Real containers on this host: needs root, cgroups and a static busybox.
//!
//! A main of its own, since the launcher is this executable again and must become one before any thread exists.

#![allow(clippy::unwrap_used)]

mod container;
mod harness;

fn main() -> std::process::ExitCode {
    provider_oci::launcher::main_if_child();
    harness::run(&[container::TESTS])
}
