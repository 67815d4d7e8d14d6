//! fwatchdog: turns a program into an HTTP function. PID 1 of a function's container.
//!
//! It takes everything from environment variables ([`config`]) and knows nothing of the platform around it.

mod body;
mod call;
mod config;
mod connection;
mod flags;
mod health;
mod limit;
mod log;
mod mode;
mod process;
mod server;
mod shutdown;

use std::process::ExitCode;

use config::{Config, ConfigError};
use flags::Flags;

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn main() -> ExitCode {
    match flags::parse(std::env::args_os().skip(1)) {
        Ok(Flags::Run) => match run() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                log::fatal(&error.to_string());
                ExitCode::from(error.exit_code())
            }
        },
        Ok(Flags::Version) => {
            log::fatal(&version_line());
            ExitCode::SUCCESS
        }
        Ok(Flags::Healthcheck) => match health::check_lock() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                log::fatal(&error.to_string());
                ExitCode::FAILURE
            }
        },
        Ok(Flags::Help) => {
            eprint!("{}", flags::USAGE);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprint!("{error}\n{}", flags::USAGE);
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<(), StartError> {
    let config = Config::from_environment()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(StartError::Runtime)?;
    let log = log::Log::start(&config.log);
    log.note(version_line());
    for warning in &config.warnings {
        log.note(warning.clone());
    }
    let outcome = runtime.block_on(server::run(config, log.clone()));
    log.finish();
    outcome
}

fn version_line() -> String {
    format!("Version: {VERSION}\tSHA: {}", option_env!("MINKE_GIT_SHA").unwrap_or("unknown"))
}

#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("cannot set up the event loop: {0}")]
    Runtime(std::io::Error),
    #[error("cannot listen on port {port}: {source}; choose another with the variable port")]
    Listen { port: u16, source: std::io::Error },
    #[error(transparent)]
    Lock(#[from] health::LockError),
    #[error("cannot handle signals: {0}")]
    Signals(std::io::Error),
    #[error("cannot start the function: {0}; check fprocess")]
    Spawn(#[from] process::SpawnError),
    #[error("the function ended: {0}; a function in mode http must keep running")]
    FunctionEnded(process::Exit),
}

impl StartError {
    fn exit_code(&self) -> u8 {
        match self {
            StartError::Config(error) => error.exit_code(),
            _ => 1,
        }
    }
}
