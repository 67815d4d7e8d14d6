//! Hop-by-hop headers: none is left, and nothing else is lost.

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Request};

use crate::headers::{add_forwarded, strip_hop_by_hop};
use crate::peer::{Peer, Scheme};

/// RFC 9110, section 7.6.1, written down a second time.
const ONE_HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// Header lines, each ended by LF.
pub fn headers(data: &[u8]) {
    let before = parse(data);
    let mut after = before.clone();
    strip_hop_by_hop(&mut after);
    check_stripped(&before, &after);
    let mut again = after.clone();
    strip_hop_by_hop(&mut again);
    assert_eq!(again, after);
    check_forwarded(after);
}

fn parse(data: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n').take(128) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    headers
}

fn check_stripped(before: &HeaderMap, after: &HeaderMap) {
    for name in ONE_HOP {
        assert!(!after.contains_key(name), "{name} is left");
    }
    let named: Vec<String> = before
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(|token| String::from_utf8_lossy(token.trim_ascii()).to_ascii_lowercase())
        .collect();
    let coded = before.contains_key(TRANSFER_ENCODING);
    for name in before.keys() {
        let gone = ONE_HOP.contains(&name.as_str())
            || (coded && name == CONTENT_LENGTH)
            || (named.iter().any(|token| token == name.as_str()) && name != HOST && name != CONTENT_LENGTH);
        let wanted: Vec<_> = before.get_all(name).iter().filter(|_| !gone).collect();
        assert_eq!(after.get_all(name).iter().collect::<Vec<_>>(), wanted, "{name}");
    }
    assert!(after.keys().all(|name| before.contains_key(name)));
}

fn check_forwarded(before: HeaderMap) {
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.headers = before.clone();
    let peer = Peer::new(([192, 0, 2, 7], 4711).into(), Scheme::Http);
    add_forwarded(&mut parts, &peer);
    for name in ["x-forwarded-for", "x-forwarded-proto"] {
        assert!(parts.headers.contains_key(name), "{name}");
    }
    assert_eq!(
        parts.headers.contains_key("x-forwarded-host"),
        before.contains_key("x-forwarded-host") || before.contains_key(HOST)
    );
    // What the client said is still said; only what tells of the way may be added to.
    for name in before.keys() {
        let told = |headers: &HeaderMap| headers.get_all(name).iter().cloned().collect::<Vec<_>>();
        let (said, passed) = (told(&before), told(&parts.headers));
        if name.as_str().starts_with("x-forwarded-") || name.as_str() == "forwarded" {
            assert!(!passed.is_empty(), "{name}");
        } else {
            assert_eq!(said, passed, "{name}");
        }
    }
}
