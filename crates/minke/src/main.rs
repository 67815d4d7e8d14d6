//! The one binary: the platform, and the command line that talks to it.

mod acme;
mod cli;
mod client;
mod commands;
mod config;
mod credentials;
mod demo;
mod embed;
mod error;
mod files;
mod flags;
mod images;
mod listeners;
mod printer;
mod providers;
mod reload;
mod shutdown;
mod stack;
mod telemetry;
mod tls;
mod wiring;

use std::process::ExitCode;

fn main() -> ExitCode {
    // A launcher is this binary too, and must be one before anything starts a thread.
    provider_oci::launcher::main_if_child();
    cli::run()
}
