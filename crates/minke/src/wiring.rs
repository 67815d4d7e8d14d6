//! Where the concrete types meet: settings become a provider, a gateway and a server.

use std::sync::Arc;

use gateway::{Gateway, TlsListener};
use model::VersionInfo;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::acme;
use crate::commands::up::{Addresses, announce, drain_timeout};
use crate::config::{Config, ConfigError, ProviderKind};
use crate::credentials::Credentials;
use crate::demo;
use crate::error::{Failure, chain};
use crate::listeners::Listeners;
use crate::providers::{self, Running};
use crate::reload;
use crate::shutdown::Signals;
use crate::telemetry::Telemetry;
use crate::tls::Certificates;

/// What this build is.
pub fn version() -> VersionInfo {
    VersionInfo {
        release: env!("CARGO_PKG_VERSION").to_owned(),
        sha: env!("BUILD_COMMIT").to_owned(),
        commit_message: None,
    }
}

/// The only part of the provider's settings that can be wrong by itself.
pub fn check_provider_url(config: &Config) -> Result<(), ConfigError> {
    match (config.provider, &config.provider_url) {
        (ProviderKind::Remote, Some(url)) => providers::check_url(url),
        _ => Ok(()),
    }
}

pub async fn run(
    config: Config,
    credentials: Option<Credentials>,
    certificates: Option<Arc<Certificates>>,
    listeners: Listeners,
) -> Result<(), Failure> {
    let mut signals = Signals::listen().map_err(anyhow::Error::from)?;
    let api = TcpListener::from_std(listeners.api).map_err(anyhow::Error::from)?;
    let metrics = TcpListener::from_std(listeners.metrics).map_err(anyhow::Error::from)?;
    let tls = secured(listeners.tls, certificates.as_ref()).map_err(anyhow::Error::from)?;
    let local = |listener: &TcpListener| listener.local_addr().map_err(anyhow::Error::from);
    let addresses = Addresses {
        api: local(&api)?,
        tls: tls.as_ref().map(|tls| local(&tls.listener)).transpose()?,
        metrics: local(&metrics)?,
    };
    let telemetry = Telemetry::start(&config)?;
    let running = tokio::select! {
        running = providers::start(&config, credentials.as_ref()) => running?,
        () = signals.next() => return Ok(()),
    };
    let settings = gateway_config(&config, credentials.as_ref(), &telemetry);
    let _ordering = acme::start(&config, certificates.as_ref(), &settings.challenges);
    let _reloading = reload::spawn(&config, certificates.as_ref(), &settings.domains)?;
    let gateway = Gateway::new(Arc::clone(&running.provider), settings);
    let stop = CancellationToken::new();
    let (stopped, drain) = (stop.clone().cancelled_owned(), drain_timeout(&config));
    let sockets = gateway::Listeners { api, tls, metrics };
    let mut serving = tokio::spawn(async move { gateway.serve(sockets, stopped, drain).await });

    let ready = async {
        if config.demo {
            demo::deploy(&config, credentials.as_ref(), addresses.api).await?;
        }
        announce(&config, credentials.as_ref(), addresses);
        Ok::<(), Failure>(())
    };
    let outcome = tokio::select! {
        outcome = ready => match outcome {
            Ok(()) => tokio::select! {
                () = signals.next() => Ok(()),
                ended = &mut serving => return ended_early(ended, running).await,
            },
            Err(failure) => Err(failure),
        },
        () = signals.next() => Ok(()),
    };
    stop.cancel();
    let drained = async {
        tracing::info!("draining; press Ctrl-C again to stop at once");
        let _ = serving.await;
        telemetry.finish().await;
        running.stop().await;
    };
    tokio::select! {
        () = drained => {}
        () = signals.next() => tracing::warn!("stopped before the drain was over"),
    }
    outcome
}

/// Both or none: there is a socket for TLS when there is a certificate to show.
fn secured(
    listener: Option<std::net::TcpListener>,
    certificates: Option<&Arc<Certificates>>,
) -> std::io::Result<Option<TlsListener>> {
    let (Some(listener), Some(certificates)) = (listener, certificates) else { return Ok(None) };
    let listener = TcpListener::from_std(listener)?;
    Ok(Some(TlsListener { listener, certificates: Arc::clone(certificates) as _ }))
}

async fn ended_early(
    ended: Result<std::io::Result<()>, tokio::task::JoinError>,
    running: Running,
) -> Result<(), Failure> {
    running.stop().await;
    match ended {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(Failure::general(format_args!("the server ended: {}", chain(&error)))),
        Err(error) => Err(Failure::general(format_args!("the server ended: {error}"))),
    }
}

fn gateway_config(
    config: &Config,
    credentials: Option<&Credentials>,
    telemetry: &Telemetry,
) -> gateway::Config {
    let auth = credentials
        .map(|known| gateway::Credentials { user: known.user.clone(), password: known.password.clone() });
    let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let (defaults, serving) = (gateway::Config::default(), &config.serving);
    let settings = gateway::Config {
        auth,
        namespace: config.namespace.clone(),
        read_timeout: config.read_timeout,
        write_timeout: config.write_timeout,
        upstream_timeout: config.upstream_timeout,
        activation_timeout: config.upstream_timeout,
        scale_from_zero: config.scale_from_zero,
        calls_max: serving.calls_max.unwrap_or(defaults.calls_max),
        connections_max: serving.connections_max.unwrap_or(defaults.connections_max),
        body_max: serving.max_body,
        workers: serving.workers.unwrap_or(defaults.workers),
        drain_delay: serving.drain_delay.unwrap_or(defaults.drain_delay),
        drain_grace: serving.drain_grace.unwrap_or(defaults.drain_grace),
        version: version(),
        observers: telemetry.observers(),
        collectors: telemetry.collectors(),
        ..defaults
    };
    settings.within_descriptors(descriptors.map_or(usize::MAX, |limit| limit as usize))
}
