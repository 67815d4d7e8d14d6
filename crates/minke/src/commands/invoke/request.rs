//! The head of the request that the flags describe.

use http::header::{AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Request};

use super::InvokeArgs;
use crate::error::Failure;
use crate::printer;

const AGENT: &str = concat!("minke/", env!("CARGO_PKG_VERSION"));
/// What `faas-cli` sends when nobody says.
const DEFAULT_TYPE: HeaderValue = HeaderValue::from_static("text/plain");

pub fn build(args: &InvokeArgs) -> Result<Request<()>, Failure> {
    let mut headers = HeaderMap::new();
    for text in &args.headers {
        let (name, value) = header(text)?;
        headers.append(name, value);
    }
    match &args.content_type {
        Some(text) => {
            let value = HeaderValue::from_str(text).map_err(|_| {
                Failure::usage(format_args!("--content-type {text:?} cannot be the value of a header"))
            })?;
            headers.insert(CONTENT_TYPE, value);
        }
        None => {
            headers.entry(CONTENT_TYPE).or_insert(DEFAULT_TYPE);
        }
    }
    headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(AGENT));
    if let Some(token) = &args.gateway.token {
        let mut value = HeaderValue::from_str(&format!("Bearer {}", token.trim()))
            .map_err(|_| Failure::usage("--token holds characters that a header cannot carry"))?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    let mut request =
        Request::builder().method(args.method.clone()).uri(target(&args.query)).body(()).map_err(
            |error| Failure::usage(format_args!("the request cannot be made of these flags: {error}")),
        )?;
    *request.headers_mut() = headers;
    Ok(request)
}

/// `Key: value`, or the older `key=value`.
fn header(text: &str) -> Result<(HeaderName, HeaderValue), Failure> {
    let refused = || {
        let shown: String = text.chars().take(64).collect();
        Failure::usage(format_args!("--header {shown:?} is not a header; write it as \"Key: value\""))
    };
    let (name, value) = match (text.split_once(':'), text.split_once('=')) {
        (Some(pair), _) => pair,
        (None, Some(pair)) => {
            printer::warn(format_args!("--header key=value is deprecated; write \"{}: {}\"", pair.0, "..."));
            pair
        }
        (None, None) => return Err(refused()),
    };
    let name: HeaderName = name.trim().parse().map_err(|_| refused())?;
    Ok((name, HeaderValue::from_str(value.trim()).map_err(|_| refused())?))
}

/// The path that the function sees, with the query sorted by key.
fn target(query: &[(String, String)]) -> String {
    let mut pairs: Vec<_> = query.iter().collect();
    pairs.sort_by(|a, b| a.0.cmp(&b.0));
    let pairs: Vec<_> =
        pairs.iter().map(|(key, value)| format!("{}={}", encode(key), encode(value))).collect();
    if pairs.is_empty() { "/".to_owned() } else { format!("/?{}", pairs.join("&")) }
}

/// As HTML forms encode (application/x-www-form-urlencoded).
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => encoded.push(byte.into()),
            b' ' => encoded.push('+'),
            byte => encoded += &format!("%{byte:02X}"),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_encoded_and_sorted() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(target(&[]), "/");
        assert_eq!(
            target(&[pair("b", "x y"), pair("a", "1&2"), pair("b", "ü/?")]),
            "/?a=1%262&b=x+y&b=%C3%BC%2F%3F"
        );
    }

    #[test]
    fn headers_are_read_in_both_forms() {
        let check = |text: &str, want: Option<(&str, &str)>| {
            let got = header(text).ok();
            let got = got.as_ref().map(|(name, value)| (name.as_str(), value.to_str().unwrap_or_default()));
            assert_eq!(got, want, "{text}");
        };
        check("X-A: b", Some(("x-a", "b")));
        check("X-A:b:c", Some(("x-a", "b:c")));
        check("X-A: b=c", Some(("x-a", "b=c")));
        check("X-A=b", Some(("x-a", "b")));
        check("X-A:", Some(("x-a", "")));
        check("X A: b", None);
        check("X-A: b\nX-B: c", None);
        check("X-A", None);
        check(": b", None);
    }
}
