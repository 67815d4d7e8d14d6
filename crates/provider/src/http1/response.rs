//! The head of a response: its parser, and what it says about the body and the connection (RFC 9112, section 6).

use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};

use super::{BodyError, SendError, spare};

/// The largest head of a response, and the largest block of trailers, in bytes.
pub(super) const HEAD_MAX: usize = 64 * 1024;
/// The most header lines of a response, and of its trailers.
const HEADERS_MAX: usize = 128;

pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) version: Version,
    pub(super) headers: HeaderMap,
    pub(super) framing: Framing,
    /// The connection may be used again once the body is read.
    pub(super) keep_alive: bool,
}

/// Where the body of a response ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    Empty,
    Length(u64),
    Chunked,
    /// At the end of the connection.
    Close,
}

/// The end of the head that begins at the start of `input`, looked for from `from` on.
pub(super) fn find_end(input: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(line) = input[at..].iter().position(|byte| *byte == b'\n') {
        at += line + 1;
        match &input[at..] {
            [b'\n', ..] => return Some(at + 1),
            [b'\r', b'\n', ..] => return Some(at + 2),
            _ => {}
        }
    }
    None
}

/// Refuses input that cannot become a head, however much of it follows.
pub(super) fn check_partial(input: &[u8]) -> Result<(), SendError> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    match httparse::Response::new(&mut headers).parse(input) {
        Ok(_) => Ok(()),
        Err(error) => Err(parse_error(error)),
    }
}

/// Takes the head that ends at `end` out of `input`; the header values share its memory.
pub(super) fn take(input: &mut BytesMut, end: usize, method: &Method) -> Result<Head, SendError> {
    let block = input.split_to(end).freeze();
    let mut lines = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut []);
    let parsed = httparse::ParserConfig::default()
        .parse_response_with_uninit_headers(&mut response, &block, &mut lines)
        .map_err(parse_error)?;
    if parsed.is_partial() {
        return Err(SendError::Parse("its head ends too early"));
    }
    let status = response.code.and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.ok_or(SendError::Parse("its status is not a number from 100 to 999"))?;
    let version = if response.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
    let mut headers = spare::take();
    let mut meaning = Meaning::default();
    for line in response.headers.iter() {
        let (name, value) = header(&block, line).ok_or(SendError::Parse("it holds an invalid header"))?;
        if meaning.note(&name, &value)? {
            headers.append(name, value);
        }
    }
    let framing = meaning.framing(status, version, method)?;
    if status == StatusCode::NO_CONTENT || status.is_informational() {
        headers.remove(CONTENT_LENGTH);
        headers.remove(TRANSFER_ENCODING);
    }
    let keep_alive = match version {
        Version::HTTP_10 => meaning.keep_alive && !meaning.close,
        _ => !meaning.close,
    };
    Ok(Head { status, version, headers, framing, keep_alive: keep_alive && framing != Framing::Close })
}

/// Parses a block of trailers that ends with its empty line.
pub(super) fn parse_trailers(block: &Bytes) -> Result<HeaderMap, BodyError> {
    const INVALID: BodyError = BodyError::Parse("its trailers are invalid");
    let mut lines = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let lines = match httparse::parse_headers(block, &mut lines) {
        Ok(httparse::Status::Complete((_, lines))) => lines,
        Ok(httparse::Status::Partial) => return Err(INVALID),
        Err(httparse::Error::TooManyHeaders) => return Err(BodyError::TooLarge("the trailers")),
        Err(_) => return Err(INVALID),
    };
    let mut trailers = HeaderMap::with_capacity(lines.len());
    for line in lines {
        let (name, value) = header(block, line).ok_or(INVALID)?;
        trailers.append(name, value);
    }
    Ok(trailers)
}

/// What the headers say about framing and the connection.
#[derive(Default)]
struct Meaning {
    length: Option<u64>,
    chunked: bool,
    close: bool,
    keep_alive: bool,
}

impl Meaning {
    /// Whether the header is to be kept.
    fn note(&mut self, name: &HeaderName, value: &HeaderValue) -> Result<bool, SendError> {
        if name == CONTENT_LENGTH {
            let length = parse_length(value.as_bytes());
            let length = length.ok_or(SendError::Parse("its content-length is not a number"))?;
            return match self.length.replace(length) {
                None => Ok(true),
                Some(earlier) if earlier == length => Ok(false),
                Some(_) => Err(SendError::Parse("its content-lengths contradict each other")),
            };
        }
        if name == TRANSFER_ENCODING {
            if self.chunked || !value.as_bytes().eq_ignore_ascii_case(b"chunked") {
                return Err(SendError::Parse(
                    "its transfer-encoding is not chunked, the only one that is understood",
                ));
            }
            self.chunked = true;
        } else if name == CONNECTION {
            self.close |= has_token(value, "close");
            self.keep_alive |= has_token(value, "keep-alive");
        }
        Ok(true)
    }

    fn framing(&self, status: StatusCode, version: Version, method: &Method) -> Result<Framing, SendError> {
        if self.chunked && self.length.is_some() {
            return Err(SendError::Parse("it has a transfer-encoding and a content-length"));
        }
        if self.chunked && version == Version::HTTP_10 {
            return Err(SendError::Parse("it has a transfer-encoding, which HTTP/1.0 does not have"));
        }
        let bodiless = status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
            || method == Method::HEAD;
        Ok(match self.length {
            _ if bodiless => Framing::Empty,
            _ if self.chunked => Framing::Chunked,
            Some(0) => Framing::Empty,
            Some(length) => Framing::Length(length),
            None => Framing::Close,
        })
    }
}

/// Whether a comma-separated header value holds `token`, in any case.
pub(super) fn has_token(value: &HeaderValue, token: &str) -> bool {
    let mut tokens = value.as_bytes().split(|byte| *byte == b',');
    tokens.any(|found| found.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

/// A content-length: digits only, so neither a sign nor a list.
pub(super) fn parse_length(value: &[u8]) -> Option<u64> {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(value).ok().filter(|_| digits)?.parse().ok()
}

fn header(block: &Bytes, line: &httparse::Header<'_>) -> Option<(HeaderName, HeaderValue)> {
    let name = HeaderName::from_bytes(line.name.as_bytes()).ok()?;
    let value = HeaderValue::from_maybe_shared(block.slice_ref(line.value)).ok()?;
    Some((name, value))
}

fn parse_error(error: httparse::Error) -> SendError {
    match error {
        httparse::Error::TooManyHeaders => SendError::TooLarge,
        httparse::Error::Status => SendError::Parse("its status is not a number"),
        httparse::Error::Version => SendError::Parse("it does not begin with HTTP/1.0 or HTTP/1.1"),
        httparse::Error::HeaderName => SendError::Parse("it holds an invalid header name"),
        httparse::Error::HeaderValue => SendError::Parse("it holds an invalid header value"),
        httparse::Error::NewLine | httparse::Error::Token => SendError::Parse("its status line is invalid"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_end_of_a_head_wherever_the_search_begins() {
        let cases = [
            ("", None),
            ("HTTP/1.1 200 OK\r\n", None),
            ("HTTP/1.1 200 OK\r\na: b\r\n\r", None),
            ("HTTP/1.1 200 OK\r\n\r\nbody", Some(19)),
            ("HTTP/1.1 200 OK\na: b\n\nbody", Some(22)),
            ("HTTP/1.1 200 OK\n\r\nbody", Some(18)),
        ];
        for (input, end) in cases {
            let latest = end.map_or(input.len(), |end| end - 4);
            for from in 0..=latest.min(input.len()) {
                assert_eq!(find_end(input.as_bytes(), from), end, "{input:?} from {from}");
            }
        }
    }

    /// Whatever the bytes, a head is taken or refused; what is taken went by the rules.
    #[test]
    fn survives_changed_heads() {
        const SEEDS: [&str; 3] = [
            "HTTP/1.1 200 OK\r\ncontent-length: 12\r\nconnection: keep-alive, x\r\nset-cookie: a=b\r\n\r\n",
            "HTTP/1.0 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n",
            "\r\nHTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: close\r\n\r\n",
        ];
        const SPLICES: [&[u8]; 8] =
            [b"\r\n", b"\n", b"\0", b" ", b":", b"content-length: 1\r\n", b"\xff", b",close"];
        // A fixed generator (xorshift64): the same changes each time.
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = move |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % below as u64) as usize
        };
        for round in 0..50_000 {
            let mut wire = SEEDS[round % SEEDS.len()].as_bytes().to_vec();
            for _ in 0..=random(3) {
                let at = random(wire.len());
                match random(3) {
                    0 => wire[at] = random(256) as u8,
                    1 => drop(wire.splice(at..at, SPLICES[random(SPLICES.len())].iter().copied())),
                    _ => drop(wire.remove(at)),
                }
            }
            let Some(end) = find_end(&wire, 0) else {
                let _ = check_partial(&wire);
                continue;
            };
            let mut input = BytesMut::from(wire.as_slice());
            let Ok(head) = take(&mut input, end, &Method::GET) else { continue };
            assert_eq!(input, wire[end..]);
            let lengths: Vec<_> = head.headers.get_all(CONTENT_LENGTH).iter().collect();
            assert!(lengths.len() <= 1, "{:?}", head.headers);
            if let Framing::Length(length) = head.framing {
                assert_eq!(lengths.first().and_then(|value| parse_length(value.as_bytes())), Some(length));
                assert!(!head.headers.contains_key(TRANSFER_ENCODING));
            }
        }
    }
}
