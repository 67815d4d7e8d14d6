//! The headers that belong to one hop, and those that this hop adds.

use std::time::{Duration, SystemTime};

use http::header::{
    CONNECTION, CONTENT_LENGTH, Entry, FORWARDED, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE,
    TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Version};

use crate::peer::Peer;

pub(crate) const CALL_ID: HeaderName = HeaderName::from_static("x-call-id");
pub(crate) const START_TIME: HeaderName = HeaderName::from_static("x-start-time");
pub(crate) const SERVED_BY: HeaderName = HeaderName::from_static("x-served-by");
/// Who called the function.
pub(crate) const SERVED_BY_MINKE: HeaderValue =
    HeaderValue::from_static(concat!("minke/", env!("CARGO_PKG_VERSION")));
pub(crate) const DURATION: HeaderName = HeaderName::from_static("x-duration-seconds");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// RFC 9110, section 7.6.1, and the proxy's own authentication, which ends here.
const HOP_BY_HOP: [HeaderName; 7] = [
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Removes what concerns one connection, also what `Connection` names. The framing is written anew on each hop.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    // One look at each name is cheaper than asking for eight that are hardly ever there.
    if !headers.keys().any(|name| *name == CONNECTION || HOP_BY_HOP.contains(name)) {
        return;
    }
    if headers.contains_key(CONNECTION) {
        let named: Vec<HeaderName> = headers.get_all(CONNECTION).iter().flat_map(tokens).collect();
        headers.remove(CONNECTION);
        for name in named {
            headers.remove(name);
        }
    }
    // Where both are there the coding decides (RFC 9112, section 6.3), and the length is a smuggler's.
    if headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

/// What a request asks of its connection that this hop asks of the next one: it speaks for itself there.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    /// The protocol to switch to.
    pub upgrade: Option<HeaderValue>,
    /// Trailers may come behind the answer.
    trailers: bool,
}

impl Asked {
    /// To be called before the headers are stripped.
    pub fn of(parts: &Parts) -> Self {
        let headers = &parts.headers;
        let lists = |name: &HeaderName, token: &str| {
            headers.get_all(name).iter().any(|value| has_token(value, token))
        };
        let trailers = headers.contains_key(TE) && lists(&TE, "trailers");
        if parts.version != Version::HTTP_11
            || !headers.contains_key(UPGRADE)
            || !lists(&CONNECTION, "upgrade")
        {
            return Self { upgrade: None, trailers };
        }
        let mut protocols = headers.get_all(UPGRADE).iter();
        let upgrade =
            protocols.next().filter(|protocol| protocols.next().is_none() && may_switch_to(protocol));
        Self { upgrade: upgrade.cloned(), trailers }
    }

    /// To be called when they are stripped.
    pub fn ask_on(&self, parts: &mut Parts) {
        let headers = &mut parts.headers;
        if self.trailers {
            headers.insert(TE, HeaderValue::from_static("trailers"));
        }
        let connection = match (&self.upgrade, self.trailers && parts.version < Version::HTTP_2) {
            (None, false) => return,
            (None, true) => "te",
            (Some(_), false) => "upgrade",
            (Some(_), true) => "upgrade, te",
        };
        headers.insert(CONNECTION, HeaderValue::from_static(connection));
        if let Some(protocol) = &self.upgrade {
            headers.insert(UPGRADE, protocol.clone());
        }
    }
}

/// HTTP/2 is for each hop to agree upon, and a server may switch to any of a list.
fn may_switch_to(protocol: &HeaderValue) -> bool {
    let protocol = protocol.as_bytes().trim_ascii();
    !protocol.is_empty() && !protocol.contains(&b',') && !protocol.eq_ignore_ascii_case(b"h2c")
}

/// Tells the function who asked, after what those in front of this gateway have told.
pub(crate) fn add_forwarded(parts: &mut Parts, peer: &Peer) {
    let headers = &mut parts.headers;
    let host = match parts.uri.authority() {
        Some(authority) => HeaderValue::from_str(authority.as_str()).ok(),
        None => headers.get(HOST).cloned(),
    };
    let forwarded = peer.forwarded(host.as_ref().map_or(b"", |host| host.as_bytes()));
    if let Some(host) = host {
        append(headers, FORWARDED_HOST, host);
    }
    append(headers, FORWARDED_FOR, peer.forwarded_for().clone());
    append(headers, FORWARDED_PROTO, HeaderValue::from_static(peer.scheme.as_str()));
    if headers.get_all(FORWARDED).iter().any(leaves_open) {
        headers.remove(FORWARDED);
    }
    append(headers, FORWARDED, forwarded);
}

/// Whether a quoted string has no end: it would swallow what is added behind it.
fn leaves_open(value: &HeaderValue) -> bool {
    let mut bytes = value.as_bytes().iter();
    let mut open = false;
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => open = !open,
            b'\\' if open => drop(bytes.next()),
            _ => {}
        }
    }
    open
}

/// Adds to a list, which stays one line: many read the first line alone.
fn append(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) {
    match headers.entry(name) {
        Entry::Vacant(vacant) => drop(vacant.insert(value)),
        Entry::Occupied(mut told) => {
            let mut list: Vec<&[u8]> = told.iter().map(|line| line.as_bytes().trim_ascii()).collect();
            list.retain(|line| !line.is_empty());
            list.push(value.as_bytes());
            let joined = HeaderValue::from_bytes(&list.join(&b", "[..]));
            // Values of headers, joined by what may be in one.
            told.insert(joined.unwrap_or(value));
        }
    }
}

/// UTC, nanoseconds since 1970.
pub(crate) fn start_time(now: SystemTime) -> HeaderValue {
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    HeaderValue::from(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

/// Seconds with six decimals, as the watchdog tells them.
pub(crate) fn duration(took: Duration) -> HeaderValue {
    // Twenty digits, a dot and six digits fit. Each answer has one, and the formatter takes its time.
    let mut text = [b'.'; 27];
    let point = text.len() - 7;
    put_decimal(&mut text[point + 1..], took.subsec_micros().into(), 6);
    let seconds = put_decimal(&mut text[..point], took.as_secs(), 1);
    HeaderValue::from_bytes(&text[point - seconds..]).unwrap_or(HeaderValue::from_static("0.000000"))
}

/// Writes a number to the end of `text`, with so many digits at least, and tells how many it has.
fn put_decimal(text: &mut [u8], mut value: u64, digits_min: usize) -> usize {
    let mut digits = 0;
    for place in text.iter_mut().rev() {
        if value == 0 && digits >= digits_min {
            break;
        }
        // Not truncating: it is one digit.
        *place = b'0' + (value % 10) as u8;
        value /= 10;
        digits += 1;
    }
    digits
}

fn tokens(value: &HeaderValue) -> impl Iterator<Item = HeaderName> {
    let tokens = value.as_bytes().split(|byte| *byte == b',');
    // `Host` and the body's length are nobody's to take away.
    tokens
        .filter_map(|token| HeaderName::from_bytes(token.trim_ascii()).ok())
        .filter(|name| name != HOST && name != CONTENT_LENGTH)
}

/// Whether a comma-separated list holds `token`, in any case; parameters behind a semicolon aside.
fn has_token(value: &HeaderValue, token: &str) -> bool {
    let mut found = value.as_bytes().split(|byte| *byte == b',');
    found.any(|item| {
        let name = item.split(|byte| *byte == b';').next().unwrap_or_default();
        name.trim_ascii().eq_ignore_ascii_case(token.as_bytes())
    })
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;
    use crate::peer::Scheme;

    fn parts(headers: &[(&'static str, &'static str)]) -> Parts {
        let (mut parts, ()) = Request::new(()).into_parts();
        for (name, value) in headers {
            parts.headers.append(*name, HeaderValue::from_static(value));
        }
        parts
    }

    #[test]
    fn what_others_told_stays_in_front_in_one_line() {
        let mut parts = parts(&[
            ("host", "gw:80"),
            ("x-forwarded-for", "10.0.0.1, 10.0.0.2"),
            ("x-forwarded-for", " "),
            ("x-forwarded-for", "10.0.0.3"),
            ("forwarded", "for=10.0.0.1;by=\"[::1]\""),
        ]);
        add_forwarded(&mut parts, &Peer::new("[2001:db8::1]:80".parse().unwrap(), Scheme::Https));
        let check = |name: &str, want: &str| {
            let lines: Vec<_> = parts.headers.get_all(name).iter().collect();
            assert_eq!(lines, [want], "{name}");
        };
        check("x-forwarded-for", "10.0.0.1, 10.0.0.2, 10.0.0.3, [2001:db8::1]:80");
        check("x-forwarded-host", "gw:80");
        check("x-forwarded-proto", "https");
        check("forwarded", "for=10.0.0.1;by=\"[::1]\", for=\"[2001:db8::1]:80\";host=\"gw:80\";proto=https");
    }

    #[test]
    fn nobody_hides_the_last_hop_in_a_quotation() {
        let peer = Peer::new("192.0.2.7:1".parse().unwrap(), Scheme::Http);
        let ours = "for=\"192.0.2.7:1\";proto=http";
        let check = |told: &'static str, kept: bool| {
            let mut parts = parts(&[("forwarded", told)]);
            add_forwarded(&mut parts, &peer);
            let want = if kept { format!("{told}, {ours}") } else { ours.to_owned() };
            assert_eq!(parts.headers["forwarded"], want);
        };
        check("for=\"_a\"", true);
        check("for=\"a\\\"b\"", true);
        check("for=\"a", false);
        check("for=\"a\\\"", false);
        check("for=\"a\", for=\"", false);
    }

    #[test]
    fn what_is_asked_on() {
        let check = |headers: &[(&'static str, &'static str)], want: &[(&str, &str)]| {
            let mut parts = parts(headers);
            let asked = Asked::of(&parts);
            strip_hop_by_hop(&mut parts.headers);
            asked.ask_on(&mut parts);
            let told: Vec<_> = parts.headers.iter().map(|(n, v)| (n.as_str(), v.to_str().unwrap())).collect();
            assert_eq!(told, want, "{headers:?}");
        };
        let upgrade = [("connection", "upgrade"), ("upgrade", "websocket")];
        check(&[("connection", "keep-alive, UPGRADE"), ("upgrade", "websocket")], &upgrade);
        check(&[("upgrade", "websocket")], &[]);
        check(&[("connection", "upgrade")], &[]);
        check(&[("connection", "upgrade"), ("upgrade", " H2C ")], &[]);
        check(&[("connection", "upgrade"), ("upgrade", "websocket, h2c")], &[]);
        check(&[("connection", "upgrade"), ("upgrade", "a"), ("upgrade", "b")], &[]);
        check(&[("te", "trailers")], &[("te", "trailers"), ("connection", "te")]);
        check(&[("te", "gzip;q=0.5, Trailers;q=1")], &[("te", "trailers"), ("connection", "te")]);
        check(&[("te", "gzip")], &[]);
    }

    #[test]
    fn durations_are_seconds_with_six_decimals() {
        assert_eq!(duration(Duration::from_nanos(1_234_567_891)), "1.234567");
        assert_eq!(duration(Duration::ZERO), "0.000000");
        assert_eq!(duration(Duration::MAX), "18446744073709551615.999999");
    }
}
