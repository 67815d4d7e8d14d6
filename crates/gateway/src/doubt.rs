//! What two readers may read in two ways is refused, before anything is done with it.

use http::header::{HOST, TRANSFER_ENCODING};
use http::{Request, Version};

/// Why a request is not to be acted upon, in words for its sender.
pub(crate) fn doubt<B>(request: &Request<B>) -> Option<&'static str> {
    let headers = request.headers();
    // RFC 9112, section 3.2: each hop would choose its own.
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, None) if request.version() == Version::HTTP_11 => return Some(HOSTS),
        (None, None) => {}
        (Some(host), None) if is_host(host.as_bytes()) => {}
        (Some(_), None) => return Some("the host header is not a host; send its name, and its port"),
        _ => return Some(HOSTS),
    }
    // RFC 9110, section 4.2.4: what is before an at sign is there to mislead.
    if request.uri().authority().is_some_and(|authority| !is_host(authority.as_str().as_bytes())) {
        return Some("the target's host is not a host; send its name, and its port");
    }
    if !matches!(request.uri().scheme_str(), None | Some("http" | "https")) {
        return Some("the target's scheme is neither http nor https");
    }
    // RFC 9112, section 6.1: a coding that this hop does not undo would be lost on the next.
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => None,
        (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => None,
        _ => Some("its transfer-encoding is not chunked, the only one that is understood"),
    }
}

const HOSTS: &str = "a request has one host header, and no more";

/// No user, path or list, a port that is a number, and nothing that two readers would cut off differently; whether it
/// is a name is for those who look it up.
fn is_host(host: &[u8]) -> bool {
    let (name, port) = match host.iter().rposition(|byte| *byte == b':') {
        // What is inside of brackets is an address.
        Some(at) if !host.ends_with(b"]") => (&host[..at], &host[at + 1..]),
        _ => (host, &b""[..]),
    };
    let bracketed = name.starts_with(b"[") && name.ends_with(b"]");
    name.iter().all(|byte| byte.is_ascii_graphic() && !b"@/\\?#,\"<>{}|^`".contains(byte))
        && (bracketed || !name.contains(&b':'))
        && port.iter().all(u8::is_ascii_digit)
        && !name.ends_with(b"..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_in_one_way() {
        for host in ["", "a", "a.example", "a.example.", "A:80", "a:", "127.0.0.1:8080", "[::1]", "[::1]:80"]
        {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for host in
            ["a:80x", "a:80:80", "a..", "a..:80", "::1", "[::1", "u@a", "a/b", "a,b", "a b", "[::1]x:1"]
        {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
    }
}
