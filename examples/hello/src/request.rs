//! Reads one HTTP/1 request with its body, within bounds.

use std::io::{self, BufRead, Read};

const HEAD_MAX: u64 = 64 * 1024;
const BODY_MAX: usize = 64 * 1024 * 1024;

pub struct Request {
    pub method: String,
    pub path: String,
    pub body: Vec<u8>,
    pub keep_alive: bool,
}

pub enum RequestError {
    Io(io::Error),
    /// Answer with this status and close.
    Refused(u16),
}

impl From<io::Error> for RequestError {
    fn from(error: io::Error) -> Self {
        RequestError::Io(error)
    }
}

/// `None` when the connection was closed between requests.
pub fn read(reader: &mut impl BufRead) -> Result<Option<Request>, RequestError> {
    let mut head = reader.take(HEAD_MAX);
    let first = line(&mut head)?;
    if first.is_empty() {
        return Ok(None);
    }
    let mut words = first.split_whitespace();
    let (Some(method), Some(target), Some(version)) = (words.next(), words.next(), words.next()) else {
        return Err(RequestError::Refused(400));
    };
    let mut request = Request {
        method: method.to_owned(),
        path: target.split('?').next().unwrap_or_default().to_owned(),
        body: Vec::new(),
        keep_alive: version == "HTTP/1.1",
    };
    let (mut length, mut chunked) = (0, false);
    loop {
        let line = line(&mut head)?;
        if line.trim_end().is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or(RequestError::Refused(400))?;
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().map_err(|_| RequestError::Refused(400))?,
            "transfer-encoding" => chunked = value.eq_ignore_ascii_case("chunked"),
            "connection" => request.keep_alive &= !value.eq_ignore_ascii_case("close"),
            _ => {}
        }
    }
    if chunked {
        read_chunks(reader, &mut request.body)?;
    } else {
        read_exactly(reader, length, &mut request.body)?;
    }
    Ok(Some(request))
}

fn read_chunks(reader: &mut impl BufRead, body: &mut Vec<u8>) -> Result<(), RequestError> {
    loop {
        let size = line(&mut reader.take(1024))?;
        let digits = size.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(digits, 16).map_err(|_| RequestError::Refused(400))?;
        if size == 0 {
            // Trailers, up to the empty line.
            let mut trailers = reader.take(HEAD_MAX);
            while !line(&mut trailers)?.trim_end().is_empty() {}
            return Ok(());
        }
        read_exactly(reader, size, body)?;
        line(&mut reader.take(2))?;
    }
}

fn read_exactly(reader: &mut impl BufRead, length: usize, body: &mut Vec<u8>) -> Result<(), RequestError> {
    if body.len().saturating_add(length) > BODY_MAX {
        return Err(RequestError::Refused(413));
    }
    let read = reader.take(length as u64).read_to_end(body)?;
    if read == length { Ok(()) } else { Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()) }
}

fn line(reader: &mut impl BufRead) -> Result<String, RequestError> {
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line)?;
    if !line.is_empty() && !line.ends_with(b"\n") {
        return Err(RequestError::Refused(400));
    }
    String::from_utf8(line).map_err(|_| RequestError::Refused(400))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> Option<u16> {
        match read(&mut text.as_bytes()) {
            Err(RequestError::Refused(status)) => Some(status),
            _ => None,
        }
    }

    #[test]
    fn bodies_are_read_in_both_framings() {
        let check = |text: &str, expected: &str| {
            let mut bytes = text.as_bytes();
            let Ok(Some(request)) = read(&mut bytes) else { panic!("{text:?} is not read") };
            assert_eq!(request.body, expected.as_bytes(), "{text:?}");
            assert!(bytes.is_empty(), "{text:?} is not read to its end");
        };
        check("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "");
        check("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", "abc");
        check("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x\r\nc\r\n0\r\n\r\n", "abc");
    }

    #[test]
    fn nonsense_is_refused() {
        assert_eq!(refused("GET /\r\n\r\n"), Some(400));
        assert_eq!(refused("GET / HTTP/1.1\r\nno colon\r\n\r\n"), Some(400));
        assert_eq!(refused("POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n"), Some(400));
        assert_eq!(refused("POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n"), Some(413));
        assert_eq!(refused(&format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(70_000))), Some(400));
    }
}
