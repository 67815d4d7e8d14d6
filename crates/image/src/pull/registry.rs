//! One repository of one registry, over the distribution API.
//!
//! oci-client does the authentication. It reads manifests without a bound and follows a redirect from HTTPS to HTTP,
//! so the two GETs are made here.

use std::net::IpAddr;
use std::time::Duration;

use model::image::{Digest, ImageRef};
use oci_client::client::{Client, ClientConfig, ClientProtocol};
use oci_client::secrets::RegistryAuth;
use oci_client::{Reference, RegistryOperation};
use reqwest::header::ACCEPT;
use reqwest::{RequestBuilder, Response, StatusCode};
use tokio::sync::mpsc::Sender;

use super::{PullOptions, auth};
use crate::error::ImageError;
use crate::limits::Limits;
use crate::store::blob::sha256;

const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";
const AGENT: &str = concat!("minke/", env!("CARGO_PKG_VERSION"));
/// Attempts at one request; a registry that is restarted or a network that hiccups is worth two more.
const ATTEMPTS: u32 = 3;
/// What is shown of a refusal.
const MESSAGE_MAX: usize = 4096;

pub(super) struct Registry {
    image: ImageRef,
    base: String,
    http: reqwest::Client,
    authorization: Authorization,
    manifest_max: u64,
    /// Cloned into every write of this pull: who holds the other end knows when the last one has ended.
    pub(super) writes: Sender<()>,
}

enum Authorization {
    None,
    Basic(String, String),
    Bearer(String),
}

impl Registry {
    pub(super) async fn connect(
        image: &ImageRef,
        options: &PullOptions,
        limits: &Limits,
        writes: Sender<()>,
    ) -> Result<Self, ImageError> {
        // Fails when the program has chosen a provider already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let plain = is_loopback(image.registry())
            || options.insecure_registries.iter().any(|registry| registry == image.registry());
        let (host, scheme) = (host(image), if plain { "http" } else { "https" });
        let unreachable = |error| unreachable(image, error);
        let builder = reqwest::Client::builder()
            .user_agent(AGENT)
            .connect_timeout(limits.connect_timeout)
            .read_timeout(limits.read_timeout)
            .https_only(!plain);
        // A proxy cannot reach what is loopback here.
        let builder = if is_loopback(image.registry()) { builder.no_proxy() } else { builder };
        let http = builder.build().map_err(unreachable)?;
        let credentials = auth::credentials(image.registry(), options.docker_config.as_deref()).await?;
        let authorization = authorize(image, host, plain, credentials, limits).await?;
        let base = format!("{scheme}://{host}/v2/{}", image.repository());
        Ok(Self {
            image: image.clone(),
            base,
            http,
            authorization,
            manifest_max: limits.manifest_max,
            writes,
        })
    }

    /// The manifest or index with this digest, or what the name's tag means.
    pub(super) async fn manifest(&self, digest: Option<&Digest>) -> Result<Vec<u8>, ImageError> {
        let which = match digest {
            Some(digest) => digest.to_string(),
            None => self.image.tag().unwrap_or(model::image::DEFAULT_TAG).to_owned(),
        };
        let mut body = self.get(&format!("{}/manifests/{which}", self.base), MANIFESTS).await?;
        let mut bytes = Vec::new();
        while let Some(chunk) = body.chunk().await.map_err(|error| self.unreachable(error))? {
            if (bytes.len() + chunk.len()) as u64 > self.manifest_max {
                return Err(ImageError::TooLarge {
                    what: format!("manifest of {}", self.image),
                    max: self.manifest_max,
                });
            }
            bytes.extend_from_slice(&chunk);
        }
        match digest {
            Some(expected) if sha256(&bytes) != *expected => Err(ImageError::Corrupt {
                what: format!("manifest of {}", self.image),
                expected: expected.to_string(),
                actual: sha256(&bytes).to_string(),
            }),
            _ => Ok(bytes),
        }
    }

    pub(super) async fn blob(&self, digest: &Digest) -> Result<Response, ImageError> {
        self.get(&format!("{}/blobs/{digest}", self.base), "*/*").await
    }

    pub(super) fn unreachable(&self, error: reqwest::Error) -> ImageError {
        unreachable(&self.image, error)
    }

    async fn get(&self, url: &str, accept: &str) -> Result<Response, ImageError> {
        let mut attempt = 1;
        loop {
            let request = self.authorized(self.http.get(url).header(ACCEPT, accept));
            let is_last = attempt == ATTEMPTS;
            match request.send().await {
                Ok(response) if response.status() == StatusCode::OK => return Ok(response),
                Ok(response) if is_last || !response.status().is_server_error() => {
                    return Err(self.refusal(response).await);
                }
                Err(error) if is_last || error.is_connect() || error.is_builder() || error.is_redirect() => {
                    return Err(self.unreachable(error));
                }
                Ok(_) | Err(_) => {}
            }
            tokio::time::sleep(Duration::from_millis(250 << attempt)).await;
            attempt += 1;
        }
    }

    fn authorized(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.authorization {
            Authorization::None => request,
            Authorization::Basic(user, password) => request.basic_auth(user, Some(password)),
            Authorization::Bearer(token) => request.bearer_auth(token),
        }
    }

    async fn refusal(&self, mut response: Response) -> ImageError {
        let (image, status) = (self.image.clone(), response.status());
        let is_manifest = response.url().path().contains("/manifests/");
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ImageError::Unauthorized { image },
            StatusCode::NOT_FOUND if is_manifest => ImageError::NotInRegistry { image },
            status => {
                let mut body = Vec::new();
                while let Ok(Some(chunk)) = response.chunk().await
                    && body.len() < MESSAGE_MAX
                {
                    body.extend_from_slice(&chunk);
                }
                body.truncate(MESSAGE_MAX);
                ImageError::RegistryAnswer {
                    image: Box::new(image),
                    status: status.as_u16(),
                    message: message(&body),
                }
            }
        }
    }
}

/// Docker Hub's API has another host than its names.
fn host(image: &ImageRef) -> &str {
    match image.registry() {
        model::image::DEFAULT_REGISTRY => "registry-1.docker.io",
        registry => registry,
    }
}

fn is_loopback(registry: &str) -> bool {
    let host = match registry.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => registry.split_once(':').map_or(registry, |(host, _)| host),
    };
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

async fn authorize(
    image: &ImageRef,
    host: &str,
    plain: bool,
    credentials: RegistryAuth,
    limits: &Limits,
) -> Result<Authorization, ImageError> {
    let protocol = if plain { ClientProtocol::Http } else { ClientProtocol::Https };
    let config = ClientConfig {
        protocol,
        connect_timeout: Some(limits.connect_timeout),
        read_timeout: Some(limits.read_timeout),
        user_agent: AGENT,
        ..ClientConfig::default()
    };
    let boxed = |source| ImageError::Unreachable { image: Box::new(image.clone()), source };
    let client = Client::try_from(config).map_err(|error| boxed(Box::new(error)))?;
    let reference = Reference::with_tag(host.to_owned(), image.repository().to_owned(), "any".to_owned());
    use oci_client::errors::OciDistributionError as E;
    match client.auth(&reference, &credentials, RegistryOperation::Pull).await {
        Ok(Some(token)) => Ok(Authorization::Bearer(token)),
        Ok(None) => Ok(match credentials {
            RegistryAuth::Basic(user, password) => Authorization::Basic(user, password),
            _ => Authorization::None,
        }),
        Err(E::AuthenticationFailure(_) | E::UnauthorizedError { .. }) => {
            Err(ImageError::Unauthorized { image: image.clone() })
        }
        Err(E::RequestError(error)) => Err(unreachable(image, error)),
        Err(error) => Err(boxed(Box::new(error))),
    }
}

fn unreachable(image: &ImageRef, error: reqwest::Error) -> ImageError {
    ImageError::Unreachable { image: Box::new(image.clone()), source: Box::new(error) }
}

/// What the registry says, if it says it as the specification wants.
fn message(body: &[u8]) -> String {
    let value: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    match value.pointer("/errors/0/message").and_then(|message| message.as_str()) {
        Some(message) => message.chars().take(200).collect(),
        None => "no reason given".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_plain() {
        for registry in ["localhost", "localhost:5000", "127.0.0.1:5000", "127.8.8.8", "[::1]:5000", "[::1]"]
        {
            assert!(is_loopback(registry), "{registry}");
        }
        for registry in
            ["docker.io", "localhost.example:5000", "10.0.0.1:5000", "[fe80::1]:5000", "127.0.0.1.example"]
        {
            assert!(!is_loopback(registry), "{registry}");
        }
    }

    #[test]
    fn a_reason_is_taken_from_the_answer() {
        assert_eq!(message(br#"{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}"#), "slow down");
        assert_eq!(message(b"<html>"), "no reason given");
    }
}
