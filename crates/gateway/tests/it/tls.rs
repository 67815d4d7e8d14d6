//! The port that speaks TLS: real handshakes, and clients that do not make one.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gateway::{Config, TlsListener};
use http::Response;
use provider::Body;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::support::{PATIENCE, Served, exchange, in_time, running};

const NAME: &str = "gw.example";
const CALL: &[u8] = b"GET /function/proto HTTP/1.1\r\nhost: gw.example\r\nconnection: close\r\n\r\n";

/// One certificate for everybody, until it is another one; none for those who ask for `nobody.example`.
#[derive(Debug)]
struct Certificate(Mutex<Arc<CertifiedKey>>);

impl ResolvesServerCert for Certificate {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        (hello.server_name() != Some("nobody.example"))
            .then(|| Arc::clone(&self.0.lock().expect("not poisoned")))
    }
}

/// A certificate that vouches for itself.
fn certified() -> (Arc<CertifiedKey>, CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let certificate = made.cert.der().clone();
    let certified = CertifiedKey::from_der(vec![certificate.clone()], key, &ring::default_provider());
    (Arc::new(certified.expect("a pair")), certificate)
}

struct Secured {
    served: Served,
    address: SocketAddr,
    certificate: Arc<Certificate>,
    client: TlsConnector,
}

/// A function that answers with the scheme that it is told.
async fn secured(config: Config) -> Secured {
    let provider = running(&["proto"], |call| {
        let proto = call.request.headers()["x-forwarded-proto"].clone();
        Box::pin(async move { Ok(Response::new(Body::from(proto.to_str().expect("text").to_owned()))) })
    })
    .await;
    let (key, root) = certified();
    let certificate = Arc::new(Certificate(Mutex::new(key)));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("address");
    let tls = TlsListener { listener, certificates: certificate.clone() };
    let api = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let served = Served::start_all(provider, config, PATIENCE, api, Some(tls)).await;
    Secured { served, address, certificate, client: client(std::slice::from_ref(&root), &[b"http/1.1"]) }
}

fn client(trusted: &[CertificateDer<'static>], protocols: &[&[u8]]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(trusted.iter().cloned());
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions");
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

async fn connect(
    client: &TlsConnector,
    to: SocketAddr,
    name: &'static str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(to).await?;
    in_time(client.connect(ServerName::try_from(name).expect("a name"), stream)).await
}

async fn call(client: &TlsConnector, to: SocketAddr) -> String {
    let mut stream = connect(client, to, NAME).await.expect("a handshake");
    stream.write_all(CALL).await.expect("write");
    let mut answer = String::new();
    // Not cut off, for it would be an error.
    in_time(stream.read_to_string(&mut answer)).await.expect("a whole answer");
    answer
}

#[tokio::test]
async fn a_call_is_secured_and_the_function_told() {
    let Secured { served, address, client, .. } = secured(Config::default()).await;
    let answer = call(&client, address).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\nhttps"), "{answer}");
    let plain = served.raw(CALL).await;
    assert!(plain.ends_with("\r\n\r\nhttp"), "{plain}");
    served.stop().await;
}

#[tokio::test]
async fn what_cannot_be_agreed_upon_ends_the_handshake() {
    let Secured { served, address, client: trusting, .. } = secured(Config::default()).await;
    let refused = async |client: &TlsConnector, name| connect(client, address, name).await.is_err();
    assert!(refused(&trusting, "nobody.example").await, "there is no certificate");
    let (_, stranger) = certified();
    assert!(refused(&client(std::slice::from_ref(&stranger), &[]), NAME).await, "the client trusts another");
    assert!(refused(&client(&[stranger], &[b"spdy/3"]), NAME).await, "no protocol in common");
    assert!(call(&trusting, address).await.ends_with("https"));
    served.stop().await;
}

#[tokio::test]
async fn plain_text_is_told_at_once_and_tls_is_no_request() {
    let Secured { served, address, client, .. } = secured(Config::default()).await;
    let begun = Instant::now();
    let answer = exchange(address, CALL).await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.ends_with("use https:// to reach it"), "{answer}");
    assert_eq!(exchange(address, b"\x00\x01\x02").await, "", "neither is told anything");
    assert_eq!(
        exchange(address, b"\x16\x03\x01\x00\x02\xff\xff garbage").await.as_bytes()[0],
        0x15,
        "an alert"
    );
    assert!(connect(&client, served.api, NAME).await.is_err(), "the other port speaks no TLS");
    assert!(begun.elapsed() < Duration::from_secs(5), "nobody waits for a timeout");
    served.stop().await;
}

#[tokio::test]
async fn a_slow_handshake_is_cut_and_holds_nobody_up() {
    let config =
        Config { handshake_timeout: Duration::from_millis(300), handshakes_max: 8, ..Config::default() };
    let Secured { served, address, client, .. } = secured(config).await;
    let begun = Instant::now();
    let mut slow = Vec::new();
    for _ in 0..16 {
        let mut stream = TcpStream::connect(address).await.expect("connect");
        stream.write_all(b"\x16\x03\x01").await.expect("write");
        slow.push(stream);
    }
    for mut stream in slow {
        let mut rest = Vec::new();
        // Reset or closed, but ended.
        let _ = in_time(stream.read_to_end(&mut rest)).await;
    }
    assert!(begun.elapsed() >= Duration::from_millis(300));
    assert!(begun.elapsed() < PATIENCE / 2);
    assert!(call(&client, address).await.ends_with("https"));
    served.stop().await;
}

#[tokio::test]
async fn who_says_nothing_takes_no_place_of_those_who_do() {
    let config = Config { handshakes_max: 1, handshake_timeout: PATIENCE, ..Config::default() };
    let Secured { served, address, client, .. } = secured(config).await;
    let silent = [TcpStream::connect(address).await, TcpStream::connect(address).await];
    let begun = Instant::now();
    assert!(call(&client, address).await.ends_with("https"));
    assert!(begun.elapsed() < PATIENCE / 2);
    drop(silent);
    served.stop().await;
}

#[tokio::test]
async fn a_new_certificate_loses_no_call() {
    let Secured { served, address, certificate, .. } = secured(Config::default()).await;
    let pairs = [certified(), certified()];
    let roots: Vec<_> = pairs.iter().map(|(_, root)| root.clone()).collect();
    *certificate.0.lock().expect("not poisoned") = Arc::clone(&pairs[0].0);
    let trusting = client(&roots, &[b"http/1.1"]);
    let mut kept = connect(&trusting, address, NAME).await.expect("a handshake");
    let callers = (0..8).map(|_| {
        let trusting = trusting.clone();
        tokio::spawn(async move {
            for _ in 0..25 {
                assert!(call(&trusting, address).await.ends_with("https"));
            }
        })
    });
    let callers: Vec<_> = callers.collect();
    let mut turn = 0;
    while callers.iter().any(|caller| !caller.is_finished()) {
        turn += 1;
        *certificate.0.lock().expect("not poisoned") = Arc::clone(&pairs[turn % 2].0);
        tokio::task::yield_now().await;
    }
    for caller in callers {
        caller.await.expect("no call is lost");
    }
    *certificate.0.lock().expect("not poisoned") = Arc::clone(&pairs[1].0);
    kept.write_all(CALL).await.expect("write");
    let mut answer = String::new();
    in_time(kept.read_to_string(&mut answer)).await.expect("the connection goes on");
    assert!(answer.ends_with("https"), "{answer}");
    let only_new = client(&roots[1..], &[]);
    assert!(call(&only_new, address).await.ends_with("https"), "new handshakes have the new one");
    served.stop().await;
}
