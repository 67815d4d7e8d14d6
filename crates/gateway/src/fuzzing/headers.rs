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
    check_last_told(&parts.headers, &before, &peer);
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

/// Whatever the client said, the last of each list is what this hop says: who trusts one hop reads that.
fn check_last_told(told: &HeaderMap, before: &HeaderMap, peer: &Peer) {
    let line = |name: &str| {
        let mut lines = told.get_all(name).iter();
        let line = lines.next().map(|value| value.as_bytes().to_vec());
        assert!(lines.next().is_none(), "{name} is in several lines");
        line.unwrap_or_default()
    };
    let host = before.get(HOST).map(|host| host.as_bytes());
    // Where no host was asked for there is none to tell.
    let of_host = host.map(|host| ("x-forwarded-host", host));
    let of_peer = [("x-forwarded-for", peer.forwarded_for().as_bytes()), ("x-forwarded-proto", b"http")];
    for (name, own) in of_peer.into_iter().chain(of_host) {
        let line = line(name);
        let rest = line.strip_suffix(own).unwrap_or_else(|| panic!("{name}: {}", line.escape_ascii()));
        assert!(
            rest.is_empty() || own.is_empty() || rest.ends_with(b", "),
            "{name}: {}",
            line.escape_ascii()
        );
    }
    let line = line("forwarded");
    let own = peer.forwarded(host.unwrap_or_default());
    assert_eq!(last_element(&line).escape_ascii().to_string(), own.as_bytes().escape_ascii().to_string());
}

/// As RFC 7239 has it: commas within quotes part nothing.
fn last_element(line: &[u8]) -> &[u8] {
    let (mut from, mut quoted, mut escaped) = (0, false, false);
    for (at, byte) in line.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => from = at + 1,
            _ => {}
        }
    }
    assert!(!quoted, "{}", line.escape_ascii());
    line[from..].trim_ascii()
}
