//! Who is at the other end of a client's connection. What is the same for each of its requests is made once.

use std::net::SocketAddr;
use std::sync::{Mutex, OnceLock};

use http::HeaderValue;

use crate::tunnel::Tunnel;

/// One client's connection, as the calls that come over it see it.
pub(crate) struct Peer {
    pub address: SocketAddr,
    pub scheme: Scheme,
    /// `ip:port`, as clients of this API know it.
    forwarded_for: HeaderValue,
    /// The host that was asked for first, and what `Forwarded` says for it: the next request asks for the same one.
    forwarded: OnceLock<(Vec<u8>, HeaderValue)>,
    /// Set by a call that was answered with 101; the connection is its alone from there on.
    tunnel: Mutex<Option<Box<Tunnel>>>,
}

/// How the connection was made, which is not what the request says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
}

impl Peer {
    pub fn new(address: SocketAddr, scheme: Scheme) -> Self {
        let forwarded_for = HeaderValue::from_str(&address.to_string());
        Self {
            address,
            scheme,
            // An address is digits, letters and `.:[]%`.
            forwarded_for: forwarded_for.unwrap_or(HeaderValue::from_static("unknown")),
            forwarded: OnceLock::new(),
            tunnel: Mutex::default(),
        }
    }

    pub fn forwarded_for(&self) -> &HeaderValue {
        &self.forwarded_for
    }

    /// One element of `Forwarded` (RFC 7239): `for="ip:port";host=name;proto=http`.
    pub fn forwarded(&self, host: &[u8]) -> HeaderValue {
        let (known, element) = self.forwarded.get_or_init(|| (host.to_vec(), self.element(host)));
        if known == host { element.clone() } else { self.element(host) }
    }

    /// To be called before the 101 is sent.
    pub fn switch(&self, tunnel: Tunnel) {
        *self.tunnel.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(Box::new(tunnel));
    }

    /// What the connection goes on with after its last answer, if that was a 101.
    pub fn take_tunnel(&self) -> Option<Box<Tunnel>> {
        self.tunnel.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take()
    }

    fn element(&self, host: &[u8]) -> HeaderValue {
        let mut text = format!("for=\"{}\";", self.address).into_bytes();
        match host {
            [] => {}
            token if token.iter().copied().all(is_token) => {
                text.extend_from_slice(&[b"host=", token, b";"].concat())
            }
            // Neither is in any name of a host, and a quoted string would end at the one and change at the other.
            odd if odd.iter().any(|byte| matches!(byte, b'"' | b'\\')) => {}
            quoted => text.extend_from_slice(&[b"host=\"", quoted, b"\";"].concat()),
        }
        text.extend_from_slice(b"proto=");
        text.extend_from_slice(self.scheme.as_str().as_bytes());
        HeaderValue::from_maybe_shared(bytes::Bytes::from(text))
            .unwrap_or(HeaderValue::from_static("for=unknown"))
    }
}

impl Scheme {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// `tchar` of RFC 9110, section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_quoted_as_rfc_7239_wants() {
        let check = |address: &str, scheme: Scheme, host: &str, want: &str| {
            let peer = Peer::new(address.parse().unwrap(), scheme);
            assert_eq!(peer.forwarded(host.as_bytes()), want);
        };
        check(
            "192.0.2.7:4711",
            Scheme::Http,
            "gw.example",
            "for=\"192.0.2.7:4711\";host=gw.example;proto=http",
        );
        check(
            "[2001:db8::1]:80",
            Scheme::Https,
            "[::1]:8080",
            "for=\"[2001:db8::1]:80\";host=\"[::1]:8080\";proto=https",
        );
        check("192.0.2.7:1", Scheme::Http, "g:8080", "for=\"192.0.2.7:1\";host=\"g:8080\";proto=http");
        check("192.0.2.7:1", Scheme::Http, "", "for=\"192.0.2.7:1\";proto=http");
        check("192.0.2.7:1", Scheme::Http, "a\";for=evil", "for=\"192.0.2.7:1\";proto=http");
        check("192.0.2.7:1", Scheme::Http, "a,b", "for=\"192.0.2.7:1\";host=\"a,b\";proto=http");
    }

    #[test]
    fn another_host_on_the_same_connection_is_told() {
        let peer = Peer::new("192.0.2.7:1".parse().unwrap(), Scheme::Http);
        for host in ["a", "b", "a"] {
            let told = peer.forwarded(host.as_bytes());
            assert_eq!(told, format!("for=\"192.0.2.7:1\";host={host};proto=http"));
        }
    }
}
