//! The way to the ACME server: HTTPS alone, bounded in size and time.

use std::error::Error as StdError;
use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use super::AcmeError;
use crate::files::read_text;

const ANSWER_MAX: usize = 1024 * 1024;
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
const FILE_MAX: u64 = 1024 * 1024;

type Cause = Box<dyn StdError + Send + Sync>;

pub struct Client(legacy::Client<HttpsConnector<HttpConnector>, BodyWrapper<Bytes>>);

impl Client {
    /// Trusts what is in `ca`, else what the system trusts.
    pub fn new(ca: Option<&Path>) -> Result<Self, AcmeError> {
        let builder = HttpsConnectorBuilder::new();
        let builder = match ca {
            Some(path) => builder.with_tls_config(trusting(roots(path)?)?),
            None => builder
                .with_provider_and_native_roots(ring::default_provider())
                .map_err(AcmeError::SystemRoots)?,
        };
        let connector = builder.https_only().enable_http1().build();
        Ok(Self(legacy::Client::builder(TokioExecutor::new()).build(connector)))
    }
}

impl HttpClient for Client {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let asked = self.0.request(request);
        Box::pin(async move {
            let answered = async {
                let (head, body) = asked.await?.into_parts();
                let body = Limited::new(body, ANSWER_MAX).collect().await?.to_bytes();
                Ok::<_, Cause>(Response::from_parts(head, Full::new(body)))
            };
            match tokio::time::timeout(ANSWER_TIMEOUT, answered).await {
                Ok(answer) => answer.map(BytesResponse::from).map_err(Error::Other),
                Err(elapsed) => Err(Error::Other(elapsed.into())),
            }
        })
    }
}

fn trusting(roots: RootCertStore) -> Result<ClientConfig, AcmeError> {
    let builder = ClientConfig::builder_with_provider(ring::default_provider().into());
    let builder = builder
        .with_safe_default_protocol_versions()
        .map_err(|error| AcmeError::SystemRoots(io::Error::other(error)))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Refuses a file that trusts nobody.
pub fn roots(path: &Path) -> Result<RootCertStore, AcmeError> {
    let text =
        read_text(path, FILE_MAX).map_err(|source| AcmeError::Roots { path: path.to_owned(), source })?;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(text.as_bytes()).filter_map(Result::ok));
    if roots.is_empty() { Err(AcmeError::NoRoots { path: path.to_owned() }) } else { Ok(roots) }
}
