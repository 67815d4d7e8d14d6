//! Real containers on this host: needs root, cgroups, a static busybox, and `strip`.
//!
//! A main of its own, since the launcher is this executable again and must become one before any thread exists.

#![allow(clippy::unwrap_used)]

mod conformance;
mod container;
mod crash;
mod echo;
mod escape;
mod function;
mod harness;
mod hostile;
mod limits;
mod logs;
mod lost;
mod moved;
mod platform;
mod refusals;
mod remains;
mod secrets;
mod support;
mod usage;

fn main() -> std::process::ExitCode {
    provider_oci::launcher::main_if_child();
    if crash::main_if_platform() || echo::main_if_function() {
        return std::process::ExitCode::SUCCESS;
    }
    tracing_subscriber::fmt().with_env_filter(tracing_subscriber::EnvFilter::from_default_env()).init();
    harness::run(&[
        container::TESTS,
        limits::TESTS,
        hostile::TESTS,
        escape::TESTS,
        remains::TESTS,
        crash::TESTS,
        function::TESTS,
        lost::TESTS,
        moved::TESTS,
        refusals::TESTS,
        secrets::TESTS,
        logs::TESTS,
        usage::TESTS,
        conformance::TESTS,
    ])
}
