//! HTTP and HTTPS to one base address: management calls held whole and bounded, invocations streamed.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderValue, Method, Request, Response, Uri};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::RemoteConfig;
use crate::{Body, Call, InvokeError, ProviderError};

/// Largest management answer that is read: some 10,000 functions with rich specs.
const ANSWER_MAX: usize = 64 * 1024 * 1024;
/// Most of an error's body that is shown.
const MESSAGE_MAX: usize = 4 * 1024;

#[derive(Debug, Clone)]
pub enum Credentials {
    Basic { user: String, password: String },
    Bearer(String),
}

#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    #[error("{url:?} is not an address; write it like http://127.0.0.1:8080")]
    Url { url: String },
    #[error("the credentials hold characters that a header cannot carry")]
    Credentials,
    #[error("failed to load the system's certificates")]
    Certificates(#[source] std::io::Error),
}

#[derive(Clone)]
pub(super) struct Client {
    http: legacy::Client<HttpsConnector<HttpConnector>, Body>,
    /// No trailing slash.
    base: Arc<str>,
    authority: HeaderValue,
    authorization: Option<HeaderValue>,
    user_agent: HeaderValue,
    timeout: Duration,
}

pub(super) struct Answer {
    pub status: u16,
    body: Bytes,
}

impl Client {
    pub fn new(config: RemoteConfig) -> Result<Self, RemoteError> {
        let url = || RemoteError::Url { url: config.url.clone() };
        let base = config.url.trim_end_matches('/');
        let uri: Uri = base.parse().map_err(|_| url())?;
        let authority =
            uri.authority().filter(|_| matches!(uri.scheme_str(), Some("http" | "https"))).ok_or_else(url)?;
        if authority.host().is_empty() || authority.as_str().contains('@') || uri.query().is_some() {
            return Err(url());
        }
        let https = uri.scheme_str() == Some("https");
        let connector = connector(https, config.tls_no_verify)?;
        let header = |text: &str| HeaderValue::from_str(text).map_err(|_| RemoteError::Credentials);
        Ok(Self {
            http: legacy::Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .pool_max_idle_per_host(config.idle_max)
                .build(connector),
            base: base.into(),
            authority: header(authority.as_str())?,
            authorization: config.credentials.as_ref().map(Credentials::header).transpose()?,
            user_agent: header(&config.user_agent)?,
            timeout: config.timeout,
        })
    }

    /// One management call, read whole.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<Answer, ProviderError> {
        let json = body.map(serde_json::to_vec).transpose();
        let json = json.map_err(|e| ProviderError::backend("encode the request", e))?;
        let exchange = async {
            let response = self.send(method, path, json).await?;
            self.whole(response).await
        };
        tokio::time::timeout(self.timeout, exchange).await.unwrap_or_else(|_| Err(self.late()))
    }

    /// A call whose answer is read as it comes; what is not 200 comes whole. The timeout is that of the answer's head.
    pub async fn open(&self, path: &str) -> Result<Result<Incoming, Answer>, ProviderError> {
        let exchange = async {
            let response = self.send(Method::GET, path, None).await?;
            match response.status().as_u16() {
                200 => Ok(Ok(response.into_body())),
                _ => self.whole(response).await.map(Err),
            }
        };
        tokio::time::timeout(self.timeout, exchange).await.unwrap_or_else(|_| Err(self.late()))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        json: Option<Vec<u8>>,
    ) -> Result<Response<Incoming>, ProviderError> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        request = request.header(USER_AGENT, &self.user_agent).header(ACCEPT, "application/json");
        if json.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let body = json.map_or(Body::Empty, |json| Body::Full(json.into()));
        let request = request.body(body).map_err(|e| ProviderError::backend("make the request", e))?;
        self.http.request(request).await.map_err(|e| self.unavailable(e))
    }

    async fn whole(&self, response: Response<Incoming>) -> Result<Answer, ProviderError> {
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), ANSWER_MAX).collect().await;
        let body = body.map_err(|e| ProviderError::backend("read the answer", e))?.to_bytes();
        Ok(Answer { status, body })
    }

    /// A call to `/{route}/{id}` of the far side; what the function needs travels as it came.
    pub async fn invoke(&self, route: &str, call: Call) -> Result<Response<Body>, InvokeError> {
        let Call { function, mut request, .. } = call;
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
        let uri = format!("{}/{route}/{function}{target}", self.base);
        let uri = uri.parse::<Uri>().map_err(|e| InvokeError::Request(e.into()))?;
        *request.uri_mut() = uri;
        request.headers_mut().insert(HOST, self.authority.clone());
        match self.http.request(request).await {
            Ok(response) => Ok(response.map(Body::Incoming)),
            Err(error) if error.is_connect() => {
                let source = std::io::Error::other(error);
                Err(InvokeError::Connect { function, call: None, source })
            }
            Err(error) => Err(InvokeError::Upstream(error.into())),
        }
    }

    fn late(&self) -> ProviderError {
        let source = format!("no answer within {:?}", self.timeout);
        ProviderError::Unavailable { what: self.base.to_string(), source: Some(source.into()) }
    }

    fn unavailable(&self, error: legacy::Error) -> ProviderError {
        ProviderError::Unavailable { what: self.base.to_string(), source: Some(error.into()) }
    }
}

impl Answer {
    /// Turns the far side's refusals back into ours; `codes` are success.
    pub fn expect(self, codes: &[u16], kind: &'static str, name: &str) -> Result<Self, ProviderError> {
        if codes.contains(&self.status) {
            return Ok(self);
        }
        let message = self.message();
        let or = |text: &str| if message.is_empty() { text.to_owned() } else { message.clone() };
        Err(match self.status {
            404 => ProviderError::NotFound { kind, name: name.to_owned() },
            409 => ProviderError::AlreadyExists { kind, name: name.to_owned() },
            400 | 413 | 422 => ProviderError::Invalid(or("the request was refused")),
            401 => ProviderError::Denied(or("the credentials are not accepted")),
            403 => ProviderError::Denied(or("the credentials do not allow this")),
            501 => ProviderError::Unsupported("this call"),
            502..=504 => ProviderError::Unavailable {
                what: "the provider behind the gateway".into(),
                source: (!message.is_empty()).then(|| message.clone().into()),
            },
            status => ProviderError::backend(
                "carry out the call on the far side",
                format!("status {status}: {}", or("no reason given")),
            ),
        })
    }

    /// The start of the body, for people.
    pub fn message(&self) -> String {
        String::from_utf8_lossy(&self.body[..self.body.len().min(MESSAGE_MAX)]).trim().to_owned()
    }

    pub fn json<T: DeserializeOwned>(&self) -> Result<T, ProviderError> {
        serde_json::from_slice(&self.body).map_err(|e| ProviderError::backend("read the answer as JSON", e))
    }
}

impl Credentials {
    fn header(&self) -> Result<HeaderValue, RemoteError> {
        let text = match self {
            Self::Basic { user, password } => {
                format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
            }
            Self::Bearer(token) => format!("Bearer {token}"),
        };
        let mut value = HeaderValue::from_str(&text).map_err(|_| RemoteError::Credentials)?;
        value.set_sensitive(true);
        Ok(value)
    }
}

fn connector(https: bool, no_verify: bool) -> Result<HttpsConnector<HttpConnector>, RemoteError> {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(Duration::from_secs(10)));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = HttpsConnectorBuilder::new();
    let builder = if no_verify || !https {
        builder.with_tls_config(unverified(provider))
    } else {
        builder.with_provider_and_native_roots(provider).map_err(RemoteError::Certificates)?
    };
    Ok(builder.https_or_http().enable_http1().wrap_connector(http))
}

/// For `--tls-no-verify`, and for plain HTTP, where no certificate is ever seen and none needs loading.
fn unverified(provider: Arc<rustls::crypto::CryptoProvider>) -> rustls::ClientConfig {
    let verifier = Arc::new(NoVerifier(Arc::clone(&provider)));
    rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the ring provider has the default protocol versions")
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth()
}

#[derive(Debug)]
struct NoVerifier(Arc<rustls::crypto::CryptoProvider>);

impl rustls::client::danger::ServerCertVerifier for NoVerifier {
    fn verify_server_cert(
        &self,
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &[rustls::pki_types::CertificateDer<'_>],
        _: &rustls::pki_types::ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &rustls::pki_types::CertificateDer<'_>,
        dss: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &rustls::pki_types::CertificateDer<'_>,
        dss: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
