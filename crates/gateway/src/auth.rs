//! Basic auth (RFC 7617) for the management API.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use subtle::ConstantTimeEq;

use crate::Credentials;

/// The credentials as a header carries them, decoded.
pub(crate) struct Auth(Vec<u8>);

impl Auth {
    pub fn new(credentials: &Credentials) -> Self {
        Self(format!("{}:{}", credentials.user, credentials.password).into_bytes())
    }

    /// Whether the request carries the one right pair, and nothing beside it.
    pub fn allows(&self, headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return false };
        let Some((scheme, encoded)) = value.to_str().ok().and_then(|text| text.split_once(' ')) else {
            return false;
        };
        if !scheme.eq_ignore_ascii_case("basic") {
            return false;
        }
        STANDARD.decode(encoded.trim_matches(' ')).is_ok_and(|given| given.ct_eq(&self.0).into())
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_the_right_pair_is_let_in() {
        let auth = Auth::new(&Credentials { user: "admin".into(), password: "a:b c".into() });
        let check = |values: &[&str], want: bool| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
            }
            assert_eq!(auth.allows(&headers), want, "{values:?}");
        };
        let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
        check(&[&basic("admin:a:b c")], true);
        check(&[&basic("admin:a:b c").replace("Basic", "bASIC")], true);
        check(&[], false);
        check(&[""], false);
        check(&["Basic"], false);
        check(&["Basic "], false);
        check(&["Basic !!!!"], false);
        check(&[&basic("admin:a:b c").replace("Basic", "Bearer")], false);
        check(&[&STANDARD.encode("admin:a:b c")], false);
        check(&[&basic("admin:a:b")], false);
        check(&[&basic("admin:a:b cc")], false);
        check(&[&basic("Admin:a:b c")], false);
        check(&[&basic("admin:")], false);
        check(&[&basic("admin")], false);
        check(&[&basic(":")], false);
        check(&[&basic("admin:a:b c"), &basic("admin:a:b c")], false);
        check(&["Basic aaaa", &basic("admin:a:b c")], false);
    }
}
