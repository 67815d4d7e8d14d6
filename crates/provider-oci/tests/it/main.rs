//! Real containers on this host: needs root, cgroups and a static busybox.
//!
//! A main of its own, since the launcher is this executable again and must become one before any thread exists.

#![allow(clippy::unwrap_used)]

mod container;
mod crash;
mod harness;
mod hostile;
mod limits;
mod remains;
mod support;

fn main() -> std::process::ExitCode {
    provider_oci::launcher::main_if_child();
    if crash::main_if_platform() {
        return std::process::ExitCode::SUCCESS;
    }
    harness::run(&[container::TESTS, limits::TESTS, hostile::TESTS, remains::TESTS, crash::TESTS])
}
