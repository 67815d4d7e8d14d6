//! From a pipe of the function to our own stdout or stderr, line by line.
//!
//! Reading never stops at a line that is too long: it is passed on in pieces of the longest allowed length.

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;

use super::{Log, Stream, clock};

const READ_SIZE: usize = 8 * 1024;

pub async fn run(log: &Log, mut pipe: Receiver, stream: Stream) {
    let mut lines = Lines { prefix: log.prefix.then_some(stream), line_max: log.line_max, held: Vec::new() };
    let mut out = Vec::new();
    let mut buffer = [0; READ_SIZE];
    loop {
        let read = pipe.read(&mut buffer).await.unwrap_or(0);
        if read == 0 {
            break;
        }
        lines.feed(&buffer[..read], &mut out);
        if !out.is_empty() {
            log.writer.put(stream, &out).await;
            out.clear();
        }
    }
    lines.finish(&mut out);
    if !out.is_empty() {
        log.writer.put(stream, &out).await;
    }
}

struct Lines {
    prefix: Option<Stream>,
    line_max: usize,
    held: Vec<u8>,
}

impl Lines {
    fn feed(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) {
        while !bytes.is_empty() {
            let room = self.line_max - self.held.len();
            match bytes.iter().take(room + 1).position(|byte| *byte == b'\n') {
                Some(end) => {
                    self.held.extend_from_slice(&bytes[..end]);
                    self.emit(out);
                    bytes = &bytes[end + 1..];
                }
                None if bytes.len() > room => {
                    self.held.extend_from_slice(&bytes[..room]);
                    self.emit(out);
                    bytes = &bytes[room..];
                }
                None => {
                    self.held.extend_from_slice(bytes);
                    return;
                }
            }
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        if !self.held.is_empty() {
            self.emit(out);
        }
    }

    fn emit(&mut self, out: &mut Vec<u8>) {
        if let Some(stream) = self.prefix {
            clock::stamp(out);
            out.extend_from_slice(if stream == Stream::Stdout { b"stdout: " } else { b"stderr: " });
        }
        out.append(&mut self.held);
        out.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_and_never_lost() {
        let check = |pieces: &[&str], expected: &str| {
            let mut lines = Lines { prefix: None, line_max: 4, held: Vec::new() };
            let mut out = Vec::new();
            for piece in pieces {
                lines.feed(piece.as_bytes(), &mut out);
            }
            lines.finish(&mut out);
            assert_eq!(String::from_utf8_lossy(&out), expected, "{pieces:?}");
        };
        check(&["a\nb\n"], "a\nb\n");
        check(&["a", "b\n", "c"], "ab\nc\n");
        check(&["abcd\n"], "abcd\n");
        check(&["abcd", "\n"], "abcd\n");
        check(&["abcdefghij\nk\n"], "abcd\nefgh\nij\nk\n");
        check(&["\n\n"], "\n\n");
        check(&[""], "");
    }
}
