//! HTTP/2 written by hand, so that what no client of it would send can be sent.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const WAIT: Duration = Duration::from_secs(5);
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

pub type Fields = [(Vec<u8>, Vec<u8>)];

pub struct H2Wire {
    stream: TcpStream,
    next: u32,
}

/// How a stream ended.
#[derive(Debug, PartialEq)]
pub enum Ended {
    Answered { status: u16, body: Vec<u8> },
    Reset,
    Closed,
}

impl H2Wire {
    pub async fn new(mut stream: TcpStream) -> Self {
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.expect("a preface");
        let mut wire = Self { stream, next: 1 };
        wire.frame(SETTINGS, 0, 0, &[]).await;
        wire
    }

    pub async fn ask(&mut self, head: &Fields, body: Option<&[u8]>, trailers: &Fields) -> Ended {
        let id = self.next;
        self.next += 2;
        let ends = |last: bool| if last { END_STREAM } else { 0 };
        let flags = END_HEADERS | ends(body.is_none() && trailers.is_empty());
        self.frame(HEADERS, flags, id, &block(head)).await;
        if let Some(body) = body {
            self.frame(DATA, ends(trailers.is_empty()), id, body).await;
        }
        if !trailers.is_empty() {
            self.frame(HEADERS, END_HEADERS | END_STREAM, id, &block(trailers)).await;
        }
        self.answer(id).await
    }

    async fn answer(&mut self, id: u32) -> Ended {
        let (mut status, mut body) = (0, Vec::new());
        loop {
            let Some((kind, flags, of, payload)) = self.read().await else { return Ended::Closed };
            match kind {
                GOAWAY => return Ended::Closed,
                RST_STREAM if of == id => return Ended::Reset,
                HEADERS if of == id && status == 0 => status = status_of(&payload),
                DATA if of == id => body.extend(payload),
                _ => continue,
            }
            if flags & END_STREAM != 0 {
                return Ended::Answered { status, body };
            }
        }
    }

    async fn frame(&mut self, kind: u8, flags: u8, id: u32, payload: &[u8]) {
        let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(id.to_be_bytes());
        frame.extend(payload);
        // The other side may have closed it already, and then says so.
        let _ = self.stream.write_all(&frame).await;
    }

    async fn read(&mut self) -> Option<(u8, u8, u32, Vec<u8>)> {
        let mut head = [0; 9];
        timeout(WAIT, self.stream.read_exact(&mut head)).await.expect("an answer in time").ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let id = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let mut payload = vec![0; length];
        timeout(WAIT, self.stream.read_exact(&mut payload)).await.expect("a frame in time").ok()?;
        Some((head[3], head[4], id, payload))
    }
}

/// Literals without indexing, names and values as they are (RFC 7541, 6.2.2).
fn block(fields: &Fields) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            assert!(text.len() < 127, "a length of one byte");
            block.push(text.len() as u8);
            block.extend(text);
        }
    }
    block
}

/// The status is the first field: one of the static table, or a literal of three digits.
fn status_of(block: &[u8]) -> u16 {
    // Changes of the table's size come before it.
    let block = &block[block.iter().take_while(|byte| **byte & 0xe0 == 0x20).count()..];
    match block {
        [indexed @ 0x88..=0x8e, ..] => [200, 204, 206, 304, 400, 404, 500][usize::from(indexed - 0x88)],
        [0x48 | 0x08 | 0x18, 3, digits @ ..] => {
            digits[..3].iter().fold(0, |n, d| n * 10 + u16::from(d - b'0'))
        }
        [0x48 | 0x08 | 0x18, length, digits @ ..] if length & 0x80 != 0 => huffman(digits),
        other => panic!("no status at the start of {other:x?}"),
    }
}

/// Three digits in the code of RFC 7541, appendix B: 0, 1 and 2 have five bits, the others six.
fn huffman(bytes: &[u8]) -> u16 {
    let bits = bytes.iter().take(3).fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << 8;
    let (mut at, mut number) = (0, 0);
    for _ in 0..3 {
        let five = bits << at >> 27;
        let digit = if five <= 2 { five } else { (bits << at >> 26) - 0b01_1001 + 3 };
        at += if five <= 2 { 5 } else { 6 };
        number = number * 10 + digit as u16;
    }
    number
}
