//! `traceparent`: `00-<trace id>-<span id>-<flags>`, all lower-case hexadecimal.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};

pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

const SAMPLED: u8 = 1;

/// Never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId(u128);

/// Never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId(u64);

/// What a caller says of its own span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parent {
    pub trace: TraceId,
    pub span: SpanId,
    pub sampled: bool,
}

impl TraceId {
    pub fn random() -> Self {
        Self(fastrand::u128(1..))
    }

    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }
}

impl SpanId {
    pub fn random() -> Self {
        Self(fastrand::u64(1..))
    }

    pub fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// None when there is none, or several, or one that is not valid: then a trace begins here (section 4.3).
pub(crate) fn parent(headers: &HeaderMap) -> Option<Parent> {
    let mut values = headers.get_all(TRACEPARENT).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let text = value.as_bytes();
    let version = hex(text.get(..2)?)?;
    // A later version may say more, behind what this one says (section 3.2.4).
    let fits = match version {
        0 => text.len() == 55,
        0xff => false,
        _ => text.len() == 55 || text.get(55) == Some(&b'-'),
    };
    if !fits || [2, 35, 52].iter().any(|at| text[*at] != b'-') {
        return None;
    }
    let trace = hex(&text[3..35]).filter(|trace| *trace != 0)?;
    let span = hex(&text[36..52]).filter(|span| *span != 0)? as u64;
    let flags = hex(&text[53..55])? as u8;
    Some(Parent { trace: TraceId(trace), span: SpanId(span), sampled: flags & SAMPLED != 0 })
}

pub(crate) fn traceparent(trace: TraceId, span: SpanId, sampled: bool) -> HeaderValue {
    let text = format!("00-{trace}-{span}-{:02x}", u8::from(sampled));
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""))
}

/// Lower case alone (section 3.2.2).
fn hex(text: &[u8]) -> Option<u128> {
    text.iter().try_fold(0, |value, byte| {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u128::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    fn read(values: &[&str]) -> Option<Parent> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(TRACEPARENT, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        parent(&headers)
    }

    #[test]
    fn what_is_written_is_read_again() {
        for sampled in [true, false] {
            let (trace, span) = (TraceId::random(), SpanId::random());
            let written = traceparent(trace, span, sampled);
            assert_eq!(read(&[written.to_str().unwrap()]), Some(Parent { trace, span, sampled }));
        }
    }

    #[test]
    fn parents_are_read_as_the_standard_wants() {
        let check = |values: &[&str], sampled: Option<bool>| {
            let got = read(values);
            assert_eq!(got.map(|parent| parent.sampled), sampled, "{values:?}");
            if let Some(parent) = got {
                assert_eq!((parent.trace.to_string(), parent.span.to_string()), (TRACE.into(), SPAN.into()));
            }
        };
        let of = |version: &str, flags: &str| format!("{version}-{TRACE}-{SPAN}-{flags}");
        check(&[&of("00", "01")], Some(true));
        check(&[&of("00", "00")], Some(false));
        check(&[&of("00", "ff")], Some(true));
        check(&[&of("01", "01")], Some(true));
        check(&[&of("cc", "01-what-may-come")], Some(true));
        check(&[], None);
        check(&[""], None);
        check(&[&of("00", "01"), &of("00", "01")], None);
        check(&[&of("00", "01-more")], None);
        check(&[&of("cc", "01more")], None);
        check(&[&of("ff", "01")], None);
        check(&[&of("00", "1")], None);
        check(&[&of("00", "0G")], None);
        check(&[&of("00", "01").to_uppercase()], None);
        check(&[&of("00", "01").replace('-', "_")], None);
        check(&[&of("00", "01").replace(TRACE, &"0".repeat(32))], None);
        check(&[&of("00", "01").replace(SPAN, &"0".repeat(16))], None);
        check(&["\u{e9}".repeat(28).as_str()], None);
    }
}
