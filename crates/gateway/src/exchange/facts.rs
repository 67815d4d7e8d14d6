//! What a request's head says, cut to what is kept of it.

use std::time::{Duration, SystemTime};

use http::header::{CONTENT_LENGTH, HOST, USER_AGENT};
use http::{HeaderName, Request};

use super::Exchange;
use crate::headers::CALL_ID;
use crate::metrics::CLIENT_LEFT;
use crate::peer::Peer;
use crate::trace::Parent;

/// Longest text that is kept of a path, and of any other thing that a client wrote, bytes.
const PATH_MAX: usize = 2048;
const TEXT_MAX: usize = 256;

pub(super) fn of<B>(request: &Request<B>, peer: &Peer, parent: Option<&Parent>) -> Exchange {
    let text = |name: HeaderName| {
        let value = request.headers().get(name)?;
        Some(cut(&String::from_utf8_lossy(value.as_bytes()), TEXT_MAX))
    };
    let path = request.uri().path();
    let length = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let host = request.uri().authority().map(|authority| cut(authority.as_str(), TEXT_MAX));
    Exchange {
        began: SystemTime::now(),
        took: Duration::ZERO,
        method: request.method().clone(),
        path: cut(path, PATH_MAX),
        version: request.version(),
        peer: peer.address,
        scheme: peer.scheme.as_str(),
        host: host.or_else(|| text(HOST)),
        user_agent: text(USER_AGENT),
        function: called(path).map(|name| cut(name, TEXT_MAX)),
        call_id: text(CALL_ID),
        status: CLIENT_LEFT,
        request_bytes: length,
        response_bytes: 0,
        complete: false,
        trace_id: parent.map(|parent| parent.trace),
        traced: None,
        legs: Vec::new(),
    }
}

/// The name of the function that a path calls.
pub(super) fn called(path: &str) -> Option<&str> {
    let name = path.strip_prefix("/function/").or_else(|| path.strip_prefix("/async-function/"))?;
    name.split('/').next().filter(|name| !name.is_empty())
}

fn cut(text: &str, max: usize) -> String {
    let end = (0..=max.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    text[..end.unwrap_or_default()].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::Scheme;

    #[test]
    fn what_is_long_is_cut() {
        let path = format!("/function/a/{}", "é".repeat(3000));
        let request = Request::get(
            http::Uri::builder()
                .path_and_query(format!("/function/a/{}?q=s3cret", "b".repeat(3000)))
                .build()
                .unwrap(),
        )
        .header(USER_AGENT, "x".repeat(1000))
        .body(())
        .unwrap();
        let peer = Peer::new("192.0.2.7:1".parse().unwrap(), Scheme::Http);
        let facts = of(&request, &peer, None);
        assert_eq!((facts.path.len(), facts.user_agent.unwrap().len()), (PATH_MAX, TEXT_MAX));
        assert!(!facts.path.contains("s3cret"));
        assert!(cut(&path, 100).len() <= 100);
    }

    #[test]
    fn calls_are_told_from_other_requests() {
        let check = |path: &str, want: Option<&str>| assert_eq!(called(path), want, "{path}");
        check("/function/a.dev/b/c", Some("a.dev"));
        check("/async-function/a", Some("a"));
        check("/function/", None);
        check("/system/functions", None);
    }
}
