//! The sample function: built from what the binary carries, and deployed through the public API, as a user would.

use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use model::{FunctionId, FunctionName, FunctionSpec, ImageRef};
use provider::{Provider, ProviderError, Remote, RemoteConfig};

use crate::config::{Config, ProviderKind};
use crate::credentials::Credentials;
use crate::embed;
use crate::error::Failure;

pub const NAME: &str = "hello";
const IMAGE: &str = "minke/hello:latest";
/// It takes some 20 ms; a machine on which it takes this long has another problem.
const READY_TIME_MAX: Duration = Duration::from_secs(60);

pub async fn deploy(
    config: &Config,
    credentials: Option<&Credentials>,
    api: SocketAddr,
) -> Result<(), Failure> {
    if config.provider == ProviderKind::Oci {
        tracing::info!("building the sample function");
        build(config).await?;
    }
    let credentials = credentials
        .map(|c| provider::Credentials::Basic { user: c.user.clone(), password: c.password.clone() });
    let settings = RemoteConfig {
        credentials,
        namespace: config.namespace.clone(),
        ..RemoteConfig::new(format!("http://{}", reachable(api)))
    };
    let remote = Remote::new(settings).map_err(anyhow::Error::from)?;
    let name = FunctionName::parse(NAME).map_err(anyhow::Error::from)?;
    let id = FunctionId::new(name, config.namespace.clone());
    let image = ImageRef::parse(IMAGE).map_err(anyhow::Error::from)?;
    let spec = FunctionSpec::new(id.clone(), image);
    tracing::info!("deploying the sample function");
    let deployed = match remote.update(spec.clone()).await {
        Err(ProviderError::NotFound { .. }) => remote.deploy(spec).await,
        other => other,
    };
    deployed
        .map_err(|error| Failure::general(format_args!("failed to deploy the sample: {}", error.chain())))?;
    until_ready(&remote, &id).await
}

async fn until_ready(remote: &Remote, id: &FunctionId) -> Result<(), Failure> {
    let deadline = Instant::now() + READY_TIME_MAX;
    loop {
        match remote.get(id).await {
            // Nobody waits for a function that was put to rest: the first call wakes it.
            Ok(status) if status.available > 0 || status.replicas == 0 => return Ok(()),
            Ok(_) if Instant::now() < deadline => tokio::time::sleep(Duration::from_millis(5)).await,
            Ok(_) => return Err(Failure::general("the sample did not come up; its log lines above say why")),
            Err(error) => {
                return Err(Failure::general(format_args!(
                    "failed to look at the sample: {}",
                    error.chain()
                )));
            }
        }
    }
}

async fn build(config: &Config) -> Result<(), Failure> {
    let context = tempfile::tempdir().map_err(anyhow::Error::from)?;
    let files: [(&str, &[u8], u32); 3] = [
        ("Dockerfile", embed::HELLO_DOCKERFILE.as_bytes(), 0o644),
        ("fwatchdog", embed::FWATCHDOG, 0o755),
        ("hello", embed::HELLO, 0o755),
    ];
    for (name, bytes, mode) in files {
        let path = context.path().join(name);
        fs::write(&path, bytes).map_err(anyhow::Error::from)?;
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
        fs::set_permissions(&path, permissions).map_err(anyhow::Error::from)?;
    }
    crate::images::build_folder(&config.data_dir, context.path(), IMAGE).await
}

/// An address that listens on everything is reached on loopback.
fn reachable(api: SocketAddr) -> SocketAddr {
    match api.ip() {
        ip if !ip.is_unspecified() => api,
        std::net::IpAddr::V4(_) => (std::net::Ipv4Addr::LOCALHOST, api.port()).into(),
        std::net::IpAddr::V6(_) => (std::net::Ipv6Addr::LOCALHOST, api.port()).into(),
    }
}
