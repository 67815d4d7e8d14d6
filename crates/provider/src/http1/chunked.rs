//! The decoder of the chunked transfer coding (RFC 9112, section 7.1). It does no I/O.
//!
//! Every line is bounded: chunk extensions are skipped, trailers are kept, and both run into a limit.

use bytes::{Buf, Bytes, BytesMut};
use http::HeaderMap;

use super::response::{self, HEAD_MAX};
use super::{BodyError, END_OF_HEAD};

/// The longest chunk-size line, extensions included.
const LINE_MAX: usize = 4 * 1024;
/// All chunk extensions of one body together: an endless body must not buy endless parsing per byte.
const EXTENSIONS_MAX: usize = 16 * 1024;

#[derive(Debug, Default)]
pub(super) struct Chunked {
    state: State,
    extensions: usize,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    Size,
    Data(u64),
    DataEnd,
    Trailers {
        scanned: usize,
    },
}

pub(super) enum Step {
    /// The input ran out within the body.
    More,
    Data(Bytes),
    /// The end of the body, with its trailers if there were any.
    End(Option<HeaderMap>),
}

impl Chunked {
    pub(super) fn step(&mut self, input: &mut BytesMut) -> Result<Step, BodyError> {
        loop {
            match self.state {
                State::Size => match self.size(input)? {
                    None => return Ok(Step::More),
                    Some(0) => self.state = State::Trailers { scanned: 0 },
                    Some(size) => self.state = State::Data(size),
                },
                State::Data(_) if input.is_empty() => return Ok(Step::More),
                State::Data(left) => {
                    let take = left.min(input.len() as u64);
                    self.state = if take == left { State::DataEnd } else { State::Data(left - take) };
                    // Not truncating: `take` is at most the length of a buffer.
                    return Ok(Step::Data(input.split_to(take as usize).freeze()));
                }
                State::DataEnd => match input.get(..2) {
                    None => return Ok(Step::More),
                    Some(b"\r\n") => {
                        input.advance(2);
                        self.state = State::Size;
                    }
                    Some(_) => return Err(BodyError::Parse("a chunk is not followed by a line end")),
                },
                State::Trailers { scanned } => return self.trailers(input, scanned),
            }
        }
    }

    /// Takes the end of the body when it is next in the input and carries no trailers, so that the connection is
    /// free before the reader asks for a frame that does not come.
    pub(super) fn take_end(&self, input: &mut BytesMut) -> bool {
        const END: &[u8] = b"\r\n0\r\n\r\n";
        let end = matches!(self.state, State::DataEnd) && input.starts_with(END);
        if end {
            input.advance(END.len());
        }
        end
    }

    fn size(&mut self, input: &mut BytesMut) -> Result<Option<u64>, BodyError> {
        let within = &input[..input.len().min(LINE_MAX)];
        let Some(end) = within.iter().position(|byte| *byte == b'\n') else {
            return if input.len() >= LINE_MAX {
                Err(BodyError::TooLarge("a chunk-size line"))
            } else {
                Ok(None)
            };
        };
        let line = within[..end]
            .strip_suffix(b"\r")
            .ok_or(BodyError::Parse("a chunk-size line ends in a bare LF"))?;
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let (size, extension) = line.split_at(digits);
        let size = parse_hex(size).ok_or(BodyError::Parse("a chunk size is not a hexadecimal number"))?;
        check_extension(extension)?;
        self.extensions += extension.len();
        if self.extensions > EXTENSIONS_MAX {
            return Err(BodyError::TooLarge("the chunk extensions"));
        }
        input.advance(end + 1);
        Ok(Some(size))
    }

    fn trailers(&mut self, input: &mut BytesMut, scanned: usize) -> Result<Step, BodyError> {
        if input.starts_with(b"\r\n") {
            input.advance(2);
            return Ok(Step::End(None));
        }
        match response::find_end(input, scanned) {
            Some(end) if end <= HEAD_MAX => {
                let block = input.split_to(end).freeze();
                response::parse_trailers(&block).map(|trailers| Step::End(Some(trailers)))
            }
            None if input.len() < HEAD_MAX => {
                self.state = State::Trailers { scanned: input.len().saturating_sub(END_OF_HEAD.len()) };
                Ok(Step::More)
            }
            _ => Err(BodyError::TooLarge("the trailers")),
        }
    }
}

fn parse_hex(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 16 {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

fn check_extension(extension: &[u8]) -> Result<(), BodyError> {
    let begins = extension.trim_ascii_start();
    if !(begins.is_empty() || begins.starts_with(b";")) {
        return Err(BodyError::Parse("a chunk size is followed by something other than an extension"));
    }
    if extension.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
        return Err(BodyError::Parse("a chunk extension holds a control character"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes `wire` given in pieces of `piece` bytes: data and trailers as text, or the error's words.
    fn decode(wire: &[u8], piece: usize) -> Result<(String, String, usize), String> {
        let mut decoder = Chunked::default();
        let mut input = BytesMut::new();
        let mut data = Vec::new();
        let mut pieces = wire.chunks(piece);
        loop {
            match decoder.step(&mut input).map_err(|error| error.to_string())? {
                Step::More => match pieces.next() {
                    Some(piece) => input.extend_from_slice(piece),
                    None => return Err("ended early".into()),
                },
                Step::Data(bytes) => data.extend_from_slice(&bytes),
                Step::End(trailers) => {
                    let trailers = trailers.unwrap_or_default();
                    let shown: Vec<_> = trailers
                        .iter()
                        .map(|(name, value)| format!("{name}={}", value.to_str().unwrap()))
                        .collect();
                    let left = input.len() + pieces.map(<[u8]>::len).sum::<usize>();
                    return Ok((String::from_utf8(data).unwrap(), shown.join(","), left));
                }
            }
        }
    }

    #[test]
    fn decodes_whatever_the_pieces() {
        let cases: &[(&[u8], &str, &str, usize)] = &[
            (b"0\r\n\r\n", "", "", 0),
            (b"5\r\nhello\r\n0\r\n\r\n", "hello", "", 0),
            (b"5\r\nhello\r\n6\r\n world\r\n000\r\n\r\nX", "hello world", "", 1),
            (b"A;name=value;q=\"x\"\r\n0123456789\r\n0;last\r\n\r\n", "0123456789", "", 0),
            (b"1 ;a\r\nx\r\n0\r\nsum: abc\r\nsum: def\r\n\r\n", "x", "sum=abc,sum=def", 0),
        ];
        for (wire, data, trailers, left) in cases {
            for piece in 1..=wire.len() {
                let expected = Ok((data.to_string(), trailers.to_string(), *left));
                assert_eq!(decode(wire, piece), expected, "{wire:?} by {piece}");
            }
        }
    }

    #[test]
    fn refuses_what_is_not_chunked() {
        let long_line = [b"5;".to_vec(), vec![b'x'; LINE_MAX], b"\r\nhello\r\n".to_vec()].concat();
        let many_extensions = [b"1;".to_vec(), vec![b'x'; 1000], b"\r\nx\r\n".to_vec()].concat().repeat(20);
        let long_trailers = [b"0\r\nt: ".to_vec(), vec![b'x'; HEAD_MAX], b"\r\n\r\n".to_vec()].concat();
        let many_trailers = [b"0\r\n".to_vec(), b"a: b\r\n".repeat(1000), b"\r\n".to_vec()].concat();
        let cases: &[(&[u8], &str)] = &[
            (b"\r\nhello", "not a hexadecimal number"),
            (b"-5\r\nhello", "not a hexadecimal number"),
            (b"0x5\r\nhello", "other than an extension"),
            (b"5 5\r\nhello", "other than an extension"),
            (b"11111111111111111\r\n", "not a hexadecimal number"),
            (b"5\nhello", "bare LF"),
            (b"5;a\rb\r\nhello\r\n", "control character"),
            (b"5\r\nhelloX\r\n0\r\n\r\n", "not followed by a line end"),
            (b"5\r\nhel", "ended early"),
            (b"0\r\n\r", "ended early"),
            (b"0\r\nbad trailer\r\n\r\n", "trailers"),
            (&long_line, "chunk-size line"),
            (&many_extensions, "chunk extensions"),
            (&long_trailers, "trailers"),
            (&many_trailers, "trailers"),
        ];
        for (wire, words) in cases {
            for piece in [1, 7, wire.len()] {
                let error = decode(wire, piece).unwrap_err();
                let wire = &wire[..wire.len().min(40)];
                assert!(error.contains(words), "{wire:?} by {piece}: {error}");
            }
        }
    }
}
