//! `/system/info`. It answers although the provider does not: clients fail on a null in it.

use model::wire::InfoResponse;
use model::{PlatformInfo, ProviderInfo, VersionInfo};

use super::{Reply, json};
use crate::Inner;

pub(super) async fn info(gateway: &Inner) -> Reply {
    let provider = gateway.provider.info().await.unwrap_or_else(|error| {
        tracing::warn!(error = error.chain(), "the provider does not tell what it is");
        ProviderInfo { name: String::new(), orchestration: String::new(), version: unknown() }
    });
    let provider = ProviderInfo {
        name: or_unknown(provider.name),
        orchestration: or_unknown(provider.orchestration),
        version: complete(provider.version),
    };
    let version = complete(gateway.config.version.clone());
    json(&InfoResponse::from(PlatformInfo { provider, version, arch: arch().into() }))
}

/// The machine, as Go names it.
fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    }
}

fn complete(version: VersionInfo) -> VersionInfo {
    VersionInfo { release: or_unknown(version.release), sha: or_unknown(version.sha), ..version }
}

fn unknown() -> VersionInfo {
    VersionInfo { release: String::new(), sha: String::new(), commit_message: None }
}

fn or_unknown(text: String) -> String {
    if text.is_empty() { "unknown".into() } else { text }
}
