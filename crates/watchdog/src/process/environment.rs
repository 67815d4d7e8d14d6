//! The request as environment variables, `Http_<Header_Name>` and a few more, for functions that are forked.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use http::header::{HeaderName, TRANSFER_ENCODING};
use http::request::Parts;

pub type Variables = BTreeMap<String, OsString>;

/// Linux takes 128 KiB for one variable, its name and its end included.
const VALUE_MAX: usize = 120 * 1024;

/// `Http_Proxy` would redirect the function's own requests; the others are ours to set, not the caller's.
const RESERVED: [&str; 6] = ["proxy", "method", "query", "path", "host", "contentlength"];

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvironmentError {
    #[error("the path holds a zero byte or a broken percent-encoding")]
    Path,
    #[error("a request header or the URL is too long to be handed to the function")]
    TooLong,
}

pub fn from_request(head: &Parts) -> Result<Variables, EnvironmentError> {
    let mut variables = Variables::new();
    for name in head.headers.keys().filter(|name| !RESERVED.contains(&name.as_str())) {
        // The first value alone, as scripts in the field know it.
        if let Some(value) = head.headers.get(name) {
            variables.insert(variable(name), bounded(value.as_bytes().to_vec())?);
        }
    }
    variables.insert("Http_Method".into(), bounded(head.method.as_str().into())?);
    let path = percent_decode(head.uri.path()).ok_or(EnvironmentError::Path)?;
    if path.contains(&0) {
        return Err(EnvironmentError::Path);
    }
    if !path.is_empty() {
        variables.insert("Http_Path".into(), bounded(path)?);
    }
    if let Some(query) = head.uri.query().filter(|query| !query.is_empty()) {
        variables.insert("Http_Query".into(), bounded(query.into())?);
    }
    if let Some(coding) = head.headers.get(TRANSFER_ENCODING) {
        let first = coding.as_bytes().split(|byte| *byte == b',').next().unwrap_or_default();
        variables.insert("Http_Transfer_Encoding".into(), bounded(first.trim_ascii().to_vec())?);
    }
    Ok(variables)
}

fn bounded(value: Vec<u8>) -> Result<OsString, EnvironmentError> {
    if value.len() > VALUE_MAX { Err(EnvironmentError::TooLong) } else { Ok(OsString::from_vec(value)) }
}

/// `x-call-id` becomes `Http_X_Call_Id`, `x_under` becomes `Http_X_under`.
fn variable(name: &HeaderName) -> String {
    let mut text = String::from("Http_");
    for (index, word) in name.as_str().split('-').enumerate() {
        if index > 0 {
            text.push('_');
        }
        let mut letters = word.chars();
        text.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        text.push_str(letters.as_str());
    }
    text
}

/// Whether each `%` has its two hexadecimal digits.
pub fn is_well_encoded(path: &str) -> bool {
    let mut parts = path.split('%');
    parts.next();
    parts.all(|part| part.len() >= 2 && part.bytes().take(2).all(|byte| byte.is_ascii_hexdigit()))
}

/// `None` for a `%` without two hexadecimal digits.
fn percent_decode(path: &str) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let mut digit = || bytes.next().and_then(|byte| char::from(byte).to_digit(16));
                let (high, low) = (digit()?, digit()?);
                u8::try_from(high * 16 + low).ok()?
            }
            other => other,
        });
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(request: http::request::Builder) -> Result<Variables, EnvironmentError> {
        from_request(&request.body(()).expect("request").into_parts().0)
    }

    #[test]
    fn headers_become_variables() {
        let request = http::Request::post("/a%20b/c?x=%31&y")
            .header("x-call-id", "1")
            .header("x_under", "2")
            .header("accept", "first")
            .header("accept", "second")
            .header("host", "example")
            .header("transfer-encoding", "chunked")
            .header("proxy", "http://evil")
            .header("query", "spoof")
            .header("method", "spoof");
        let expected = [
            ("Http_Accept", "first"),
            ("Http_Method", "POST"),
            ("Http_Path", "/a b/c"),
            ("Http_Query", "x=%31&y"),
            ("Http_Transfer_Encoding", "chunked"),
            ("Http_X_Call_Id", "1"),
            ("Http_X_under", "2"),
        ];
        let expected: Variables = expected.map(|(name, value)| (name.into(), value.into())).into();
        assert_eq!(variables(request), Ok(expected));
    }

    #[test]
    fn a_query_header_cannot_stand_in_for_a_query() {
        let seen =
            variables(http::Request::get("/").header("query", "x").header("path", "/y")).expect("variables");
        assert_eq!((seen.get("Http_Query"), seen["Http_Path"].to_str()), (None, Some("/")));
    }

    #[test]
    fn encodings_are_checked_as_they_are_decoded() {
        for path in ["/", "/%20", "/%2", "/%", "/%zz", "/%2%20", "/%41%zz", "/a%c3%a9", "/%2\u{e9}"] {
            assert_eq!(is_well_encoded(path), percent_decode(path).is_some(), "{path}");
        }
    }

    #[test]
    fn what_an_environment_cannot_hold_is_refused() {
        let check = |request, error| assert_eq!(variables(request), Err(error));
        check(http::Request::get("/%00"), EnvironmentError::Path);
        check(http::Request::get("/%zz"), EnvironmentError::Path);
        check(http::Request::get("/%2"), EnvironmentError::Path);
        check(http::Request::get("/").header("x", "y".repeat(130_000)), EnvironmentError::TooLong);
    }
}
