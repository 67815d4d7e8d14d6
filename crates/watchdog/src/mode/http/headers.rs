//! Which headers pass through, and what kind of call they announce.

use http::header::{
    ACCEPT, CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue, TE,
    TRANSFER_ENCODING, UPGRADE,
};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Passage {
    Plain,
    /// Server-sent events or NDJSON: may last longer than `exec_timeout`.
    Events,
    WebSocket,
}

impl Passage {
    pub fn of(headers: &HeaderMap) -> Self {
        let contains = |name, word: &str| {
            headers.get_all(name).iter().any(|value| {
                value.to_str().is_ok_and(|value: &str| value.to_ascii_lowercase().contains(word))
            })
        };
        if headers.get(UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
            && contains(CONNECTION, "upgrade")
        {
            Passage::WebSocket
        } else if contains(ACCEPT, "text/event-stream") || contains(ACCEPT, "application/x-ndjson") {
            Passage::Events
        } else {
            Passage::Plain
        }
    }
}

/// Takes out what belongs to one connection alone. `Expect` is answered by our own server.
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    for name in named_by_connection(headers) {
        headers.remove(name);
    }
    for name in [CONNECTION, TRANSFER_ENCODING, UPGRADE, EXPECT] {
        headers.remove(name);
    }
    headers.remove("keep-alive");
    headers.remove("proxy-connection");
    if headers.get(TE).is_some_and(|value| value != "trailers") {
        headers.remove(TE);
    }
}

pub fn ask_for_upgrade(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, protocol);
}

/// What frames or addresses the message is not for `Connection` to take away.
fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    let values = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let names = values.flat_map(|value| value.split(','));
    let names = names.filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok());
    names.filter(|name| *name != HOST && *name != CONTENT_LENGTH).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let parsed = lines
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let mut headers = HeaderMap::new();
        parsed.for_each(|(name, value)| {
            headers.append(name, value);
        });
        headers
    }

    #[test]
    fn the_passage_is_read_from_the_headers() {
        let check = |lines: &[(&'static str, &'static str)], passage| {
            assert_eq!(Passage::of(&headers(lines)), passage, "{lines:?}");
        };
        check(&[], Passage::Plain);
        check(&[("accept", "text/html")], Passage::Plain);
        check(&[("accept", "text/html"), ("accept", "Text/Event-Stream")], Passage::Events);
        check(&[("accept", "application/x-ndjson, */*")], Passage::Events);
        check(&[("upgrade", "WebSocket"), ("connection", "keep-alive, Upgrade")], Passage::WebSocket);
        check(&[("upgrade", "websocket")], Passage::Plain);
        check(&[("upgrade", "h2c"), ("connection", "upgrade")], Passage::Plain);
    }

    #[test]
    fn connection_headers_stay_on_their_connection() {
        let mut seen = headers(&[
            ("connection", "close, x-private, content-length"),
            ("x-private", "1"),
            ("keep-alive", "5"),
            ("expect", "100-continue"),
            ("te", "gzip"),
            ("content-length", "3"),
            ("x-kept", "a"),
            ("x-kept", "b"),
        ]);
        strip_hop_by_hop(&mut seen);
        assert_eq!(seen, headers(&[("content-length", "3"), ("x-kept", "a"), ("x-kept", "b")]));
    }
}
