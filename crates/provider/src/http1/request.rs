//! The head of a request as it goes onto the wire, and how its body is framed.

use std::io::Write;

use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, FORWARDED, HOST, PROXY_AUTHORIZATION, TE,
    TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method};
use http_body::Body as _;

use super::response::{has_token, parse_length};
use crate::body::Body;

/// How the body of a request is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// The bytes still to come.
    Length(u64),
    Chunked,
}

/// Writes the head into `out` and tells how the body that follows it must be framed.
///
/// The target is the URI's path and query, byte for byte. `Content-Length` and `Transfer-Encoding` are written from
/// the body and not from the headers given; all other headers go as they are.
pub(super) fn write_head(out: &mut Vec<u8>, parts: &Parts, body: &Body) -> Framing {
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    out.extend_from_slice(parts.method.as_str().as_bytes());
    out.push(b' ');
    if target.starts_with('?') {
        out.push(b'/');
    }
    out.extend_from_slice(target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    if !parts.headers.contains_key(HOST) {
        let authority = parts.uri.authority().map_or("localhost", |authority| authority.as_str());
        write_line(out, HOST.as_str(), authority.as_bytes());
    }
    for (name, value) in &parts.headers {
        if name != CONTENT_LENGTH && name != TRANSFER_ENCODING {
            write_line(out, name.as_str(), value.as_bytes());
        }
    }
    let framing = framing(&parts.headers, body);
    match framing {
        Framing::Length(0) if !tells_empty(parts) => {}
        Framing::Length(length) => {
            // Writing into a Vec does not fail.
            let _ = write!(out, "content-length: {length}\r\n");
        }
        Framing::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
    }
    out.extend_from_slice(b"\r\n");
    framing
}

/// Whether a field may come behind a body: none that changes the message's framing, its routing, or who asks
/// (RFC 9110, section 6.5.1).
pub(crate) fn may_trail(name: &HeaderName) -> bool {
    ![
        AUTHORIZATION,
        CONNECTION,
        CONTENT_LENGTH,
        COOKIE,
        EXPECT,
        FORWARDED,
        HOST,
        PROXY_AUTHORIZATION,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
        UPGRADE,
    ]
    .contains(name)
        && !name.as_str().starts_with("x-forwarded-")
        && !matches!(name.as_str(), "keep-alive" | "proxy-connection" | "x-call-id" | "x-start-time")
}

/// Writes the end of a chunked body.
pub(super) fn write_trailers(out: &mut Vec<u8>, trailers: &HeaderMap) {
    out.extend_from_slice(b"0\r\n");
    for (name, value) in trailers {
        if may_trail(name) {
            write_line(out, name.as_str(), value.as_bytes());
        }
    }
    out.extend_from_slice(b"\r\n");
}

pub(super) fn expects_continue(headers: &HeaderMap) -> bool {
    headers.get(EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

pub(super) fn closes(headers: &HeaderMap) -> bool {
    headers.get_all(CONNECTION).iter().any(|value| has_token(value, "close"))
}

fn framing(headers: &HeaderMap, body: &Body) -> Framing {
    if let Some(length) = body.size_hint().exact() {
        return Framing::Length(length);
    }
    // A body wrapped by someone may have lost its size while the header still tells it.
    match headers.get(CONTENT_LENGTH).and_then(|value| parse_length(value.as_bytes())) {
        Some(length) if !headers.contains_key(TRANSFER_ENCODING) => Framing::Length(length),
        _ => Framing::Chunked,
    }
}

/// Whether an empty body is worth a `Content-Length: 0` (RFC 9110, section 8.6).
fn tells_empty(parts: &Parts) -> bool {
    matches!(parts.method, Method::POST | Method::PUT | Method::PATCH)
        || parts.headers.contains_key(CONTENT_LENGTH)
}

fn write_line(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}
