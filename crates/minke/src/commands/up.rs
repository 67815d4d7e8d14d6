//! `minke up`: the platform in one process, until Ctrl-C.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use tracing_subscriber::EnvFilter;

use crate::config::{Config, Flags, ProviderKind};
use crate::credentials::Credentials;
use crate::error::{Failure, chain};
use crate::listeners::{self, Inherited, Listeners};
use crate::{acme, demo, tls, wiring};

/// Work on threads of its own, an unpack say, that the end of the platform waits for.
const STRAGGLERS_MAX: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
#[command(after_help = "\
Every flag can be a variable (MINKE_LISTEN, MINKE_DATA_DIR, …) or a line of the settings file (listen, data-dir, …); \
a flag beats a variable, a variable beats the file. The gateway's variables of OpenFaaS (read_timeout, write_timeout, \
upstream_timeout, functions_provider_url, basic_auth, secret_mount_path, function_namespace, scale_from_zero) keep \
their meaning.

Examples:
  minke up --demo                        the platform with a sample function, on 127.0.0.1:8080
  minke up --listen 0.0.0.0:8080         for callers from other machines
  minke up --provider memory --no-auth --data-dir /tmp/minke   no containers, no root: to try the API")]
pub struct UpArgs {
    #[command(flatten)]
    flags: Flags,
}

pub fn run(args: UpArgs) -> Result<(), Failure> {
    // Variables that are not text cannot be settings of ours.
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    let variables: BTreeMap<String, String> = std::env::vars_os().filter_map(text).collect();
    let config = Config::resolve(args.flags, &variables).map_err(Failure::usage)?;
    start_log(&config)?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    if config.provider == ProviderKind::Oci && !rustix::process::geteuid().is_root() {
        return Err(Failure::usage(
            "containers need root; run it with sudo, or try the API without containers: minke up --provider memory",
        ));
    }
    let credentials = match (&config.credentials_dir, config.auth) {
        (Some(folder), true) => Some(Credentials::read(folder).map_err(|e| Failure::usage(chain(&e)))?),
        _ => None,
    };
    wiring::check_provider_url(&config).map_err(Failure::usage)?;
    raise_descriptors();
    let store = acme::store(&config).map_err(|error| Failure::usage(chain(&error)))?;
    let certificates = config.tls.as_ref().map(|tls| tls::load(tls, store.as_ref())).transpose();
    let certificates = certificates.map_err(|error| Failure::usage(chain(&error)))?;
    let mut inherited = Inherited::from_env()?;
    let listeners = Listeners {
        api: inherited.or_listen(listeners::API, "--listen", config.listen)?,
        tls: config
            .tls
            .as_ref()
            .map(|tls| inherited.or_listen(listeners::TLS, "--tls-listen", tls.listen))
            .transpose()?,
        metrics: inherited.or_listen(listeners::METRICS, "--metrics-listen", config.metrics_listen)?,
    };
    let credentials = match (credentials, config.auth) {
        (None, true) => Some(Credentials::ensure(&config.data_dir).map_err(|e| Failure::usage(chain(&e)))?),
        (credentials, _) => credentials,
    };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(anyhow::Error::from)?;
    let outcome = runtime.block_on(wiring::run(config, credentials, certificates, listeners));
    // An unpack on a thread of its own must not outlive the drain.
    runtime.shutdown_timeout(STRAGGLERS_MAX);
    outcome
}

/// Where the platform listens.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    pub api: SocketAddr,
    pub tls: Option<SocketAddr>,
    pub metrics: SocketAddr,
}

/// The line that scripts wait for, then one short screen.
pub fn announce(config: &Config, credentials: Option<&Credentials>, at: Addresses) {
    let Addresses { api, tls, metrics } = at;
    let mut out = io::stdout().lock();
    let mut screen = format!("minke is ready on http://{api}\n\n");
    let mut line = |label: &str, text: String| screen.push_str(&format!("  {label:<9} {text}\n"));
    if config.demo {
        line("call it", format!("curl http://{api}/function/{} -d world", demo::NAME));
    }
    match credentials {
        Some(credentials) => {
            let file = credentials.password_file.display();
            line("password", format!("{file} (user {})", credentials.user));
            line("log in", format!("faas-cli login --gateway http://{api} --password-stdin < {file}"));
        }
        None => line("password", "none: whoever can connect can manage functions".into()),
    }
    if let Some(tls) = tls {
        line("TLS", format!("https://{tls}"));
    }
    line("metrics", format!("http://{metrics}/metrics"));
    line("stop", "Ctrl-C".into());
    // Whoever closed our output does not want it.
    let _ = out.write_all(screen.as_bytes()).and_then(|()| out.flush());
}

/// As many descriptors as the system grants without asking: every call and every replica holds some.
fn raise_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
    {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

fn start_log(config: &Config) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(&config.log).map_err(|error| {
        Failure::usage(format_args!("the log filter {:?} is not valid: {error}", config.log))
    })?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_target(false);
    let colour = io::stderr().is_terminal()
        && std::env::var_os(model::env::common::NO_COLOR).is_none_or(|value| value.is_empty());
    let started = if config.log_json { log.json().try_init() } else { log.with_ansi(colour).try_init() };
    started.map_err(|error| Failure::general(format_args!("failed to start the log: {error}")))
}

/// How long a drain may take before what is left is cut off.
pub fn drain_timeout(config: &Config) -> Duration {
    config.serving.drain_timeout.unwrap_or(config.write_timeout)
}
