//! What must hold of whatever an upstream answers. `fuzz/` looks for what breaks it; the test below replays what it kept.

use bytes::BytesMut;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, Method, StatusCode};

use super::END_OF_HEAD;
use super::chunked::{Chunked, Step};
use super::response::{self, Framing, HEAD_MAX, Head, parse_length};

/// How an answer was read: its status, headers, body and trailers, and how much of the input is not its own.
#[derive(Debug, PartialEq)]
struct Read {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
    trailers: HeaderMap,
    keep_alive: bool,
    left: usize,
}

/// The first byte chooses the method, the second the size of the pieces that the rest comes in.
pub fn response(data: &[u8]) {
    let [method, piece, wire @ ..] = data else { return };
    let method = [Method::GET, Method::HEAD, Method::POST][usize::from(method % 3)].clone();
    let whole = read(wire, wire.len().max(1), &method);
    let pieces = read(wire, usize::from(*piece).max(1), &method);
    // Where one answer ends must not depend on how the network cut it.
    assert_eq!(whole, pieces);
    let Some(read) = whole else { return };
    assert!(read.left <= wire.len());
    if method == Method::HEAD || matches!(read.status.as_u16(), 100..200 | 204 | 304) {
        assert!(read.body.is_empty() && read.trailers.is_empty(), "{read:?}");
    }
    assert!(read.headers.get_all(CONTENT_LENGTH).iter().count() <= 1, "{read:?}");
    assert!(
        !(read.headers.contains_key(CONTENT_LENGTH) && read.headers.contains_key(TRANSFER_ENCODING)),
        "{read:?}"
    );
    for (name, value) in read.headers.iter().chain(&read.trailers) {
        assert!(!value.as_bytes().iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)), "{name}");
    }
}

/// Reads one answer, or as much as there is of it; nothing when it is refused or its head does not end.
fn read(wire: &[u8], piece: usize, method: &Method) -> Option<Read> {
    let mut pieces = wire.chunks(piece);
    let mut input = BytesMut::new();
    let head = head(&mut input, &mut pieces, method)?;
    check_framing(&head, method);
    let (mut body, mut trailers) = (Vec::new(), HeaderMap::new());
    let mut rest = |input: &mut BytesMut| pieces.next().map(|piece| input.extend_from_slice(piece)).is_some();
    match head.framing {
        Framing::Empty => {}
        Framing::Length(length) => {
            while (input.len() as u64) < length && rest(&mut input) {}
            let end = usize::try_from(length).unwrap_or(usize::MAX).min(input.len());
            body.extend_from_slice(&input.split_to(end));
        }
        Framing::Close => {
            while rest(&mut input) {}
            body.extend_from_slice(&input.split());
        }
        Framing::Chunked => {
            let mut decoder = Chunked::default();
            loop {
                match decoder.step(&mut input).ok()? {
                    Step::Data(data) => body.extend_from_slice(&data),
                    Step::More if rest(&mut input) => {}
                    Step::More => break,
                    Step::End(told) => {
                        trailers = told.unwrap_or_default();
                        break;
                    }
                }
            }
        }
    }
    let left = input.len() + pieces.map(<[u8]>::len).sum::<usize>();
    let Head { status, headers, keep_alive, .. } = head;
    Some(Read { status, headers, body, trailers, keep_alive, left })
}

/// As a connection reads it.
fn head<'a>(
    input: &mut BytesMut,
    pieces: &mut impl Iterator<Item = &'a [u8]>,
    method: &Method,
) -> Option<Head> {
    let mut scanned = 0;
    loop {
        match response::find_end(input, scanned) {
            Some(end) if end <= HEAD_MAX => return response::take(input, end, method).ok(),
            None if input.len() < HEAD_MAX => {
                if scanned == 0 && !input.is_empty() {
                    response::check_partial(input).ok()?;
                }
                scanned = input.len().saturating_sub(END_OF_HEAD.len());
                input.extend_from_slice(pieces.next()?);
            }
            _ => return None,
        }
    }
}

fn check_framing(head: &Head, method: &Method) {
    let length = head.headers.get(CONTENT_LENGTH).map(|value| parse_length(value.as_bytes()));
    match head.framing {
        Framing::Length(told) => {
            assert_eq!(length, Some(Some(told)));
            assert!(!head.headers.contains_key(TRANSFER_ENCODING));
        }
        Framing::Chunked => assert!(length.is_none() && head.headers.contains_key(TRANSFER_ENCODING)),
        Framing::Close => assert!(length.is_none() && !head.keep_alive && method != Method::HEAD),
        Framing::Empty => {}
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn answers_that_were_kept() {
        let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/response");
        let mut replayed = 0;
        for entry in std::fs::read_dir(&kept).unwrap() {
            let path = entry.unwrap().path();
            println!("{}", path.display());
            super::response(&std::fs::read(&path).unwrap());
            replayed += 1;
        }
        assert!(replayed > 0, "{}", kept.display());
    }
}
