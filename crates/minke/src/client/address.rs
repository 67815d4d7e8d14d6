//! Which gateway is meant (contract 1.2): the flag, else the stack file, else `OPENFAAS_URL`, else the local one.

use std::fmt;
use std::net::IpAddr;

use http::Uri;
use model::env::openfaas::OPENFAAS_URL;

use crate::error::Failure;

/// What everybody assumes, and what `minke up` listens on.
pub const DEFAULT: &str = "http://127.0.0.1:8080";

/// The address of a gateway in the form that logins are kept under: scheme and host in lower case, no trailing slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway(String);

impl Gateway {
    pub fn resolve_here(flag: Option<&str>, stack: Option<&str>) -> Result<Self, Failure> {
        let env = std::env::var(OPENFAAS_URL).ok();
        Self::resolve(flag, stack, env.as_deref())
    }

    /// An explicit flag wins, also when it names the default; a stack file that names the default, as every
    /// generated one does, names nothing.
    fn resolve(flag: Option<&str>, stack: Option<&str>, env: Option<&str>) -> Result<Self, Failure> {
        let stated = |text: &&str| !text.trim().is_empty();
        if let Some(flag) = flag {
            return Self::parse(flag, "--gateway");
        }
        if let Some(stack) = stack.filter(stated) {
            let stack = Self::parse(stack, "the stack file's provider.gateway")?;
            if stack.0 != DEFAULT {
                return Ok(stack);
            }
        }
        match env.filter(stated) {
            Some(env) => Self::parse(env, OPENFAAS_URL),
            None => Ok(Self(DEFAULT.to_owned())),
        }
    }

    fn parse(text: &str, origin: &str) -> Result<Self, Failure> {
        let refused = || {
            let shown: String = text.chars().take(128).collect();
            Failure::usage(format_args!(
                "{origin}: {shown:?} is not an address; write it like http://127.0.0.1:8080"
            ))
        };
        let text = text.trim();
        if text.contains('@') {
            // It may hold a password, so it is not shown.
            return Err(Failure::usage(format_args!(
                "{origin}: an address cannot hold a user or a password; leave them out and use `minke login`"
            )));
        }
        let full = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let uri: Uri = full.parse().map_err(|_| refused())?;
        let scheme = uri.scheme_str().unwrap_or_default().to_ascii_lowercase();
        let authority = uri.authority().ok_or_else(refused)?.as_str();
        let plain = uri.query().is_none();
        if !matches!(scheme.as_str(), "http" | "https") || !plain || uri.host().is_none_or(str::is_empty) {
            return Err(refused());
        }
        let path = uri.path().trim_end_matches('/');
        Ok(Self(format!("{scheme}://{}{path}", authority.to_ascii_lowercase())))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `minke up` on this machine, with nothing changed.
    pub fn is_local_default(&self) -> bool {
        matches!(self.0.as_str(), DEFAULT | "http://localhost:8080")
    }

    /// Whether nobody on the way can read what we send.
    pub fn is_private(&self) -> bool {
        let Ok(uri) = self.0.parse::<Uri>() else { return false };
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        uri.scheme_str() == Some("https")
            || host == "localhost"
            || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

impl fmt::Display for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_is_stated_wins() {
        let check = |flag: Option<&str>, stack: Option<&str>, env: Option<&str>, want: &str| {
            let got = Gateway::resolve(flag, stack, env).map(|gateway| gateway.0).expect("an address");
            assert_eq!(got, want, "{flag:?} {stack:?} {env:?}");
        };
        let (a, b, c) = (Some("http://a:1"), Some("http://b:2"), Some("http://c:3"));
        check(None, None, None, DEFAULT);
        check(a, b, c, "http://a:1");
        check(None, b, c, "http://b:2");
        check(None, None, c, "http://c:3");
        check(None, Some(DEFAULT), c, "http://c:3");
        check(None, Some("http://127.0.0.1:8080/"), c, "http://c:3");
        check(Some(DEFAULT), b, c, DEFAULT);
        check(None, Some(""), Some(""), DEFAULT);
    }

    #[test]
    fn addresses_have_one_form() {
        let check = |text: &str, want: Option<&str>| {
            let got = Gateway::parse(text, "x").ok().map(|gateway| gateway.0);
            assert_eq!(got.as_deref(), want, "{text}");
        };
        check("127.0.0.1:8080/", Some("http://127.0.0.1:8080"));
        check("HTTPS://GW.Example.COM/Base/Path/", Some("https://gw.example.com/Base/Path"));
        check("localhost", Some("http://localhost"));
        check("http://[::1]:8080", Some("http://[::1]:8080"));
        check("ftp://x", None);
        check("http://user:pw@x", None);
        check("http://", None);
        check("http://x?y=z", None);
        check("a b", None);
        check("", None);
    }

    #[test]
    fn only_loopback_and_tls_are_private() {
        for (text, want) in [
            ("http://127.0.0.1:8080", true),
            ("http://127.1.2.3", true),
            ("http://[::1]:80", true),
            ("http://localhost:1", true),
            ("https://example.com", true),
            ("http://example.com", false),
            ("http://10.0.0.1:8080", false),
            ("http://localhost.example.com", false),
        ] {
            let gateway = Gateway::parse(text, "x").expect("an address");
            assert_eq!(gateway.is_private(), want, "{text}");
        }
    }
}
