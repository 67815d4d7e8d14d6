//! As much of an HTTP client as the driver needs to ask a question and to time the first byte of an answer.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

const TIMEOUT: Duration = Duration::from_secs(30);

pub struct Answer {
    pub status: u16,
    pub body: String,
    /// From before connecting to the first byte.
    pub first_byte: Duration,
}

/// Sends a request on a connection of its own.
pub fn request(method: &str, url: &str, body: &str) -> anyhow::Result<Answer> {
    let (authority, path) = split(url).with_context(|| format!("{url} is not a URL of ours"))?;
    let address: SocketAddr = authority.parse()?;
    let length = body.len();
    let message = format!(
        "{method} {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    let begun = Instant::now();
    let mut stream =
        TcpStream::connect_timeout(&address, TIMEOUT).with_context(|| format!("failed to reach {url}"))?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_nodelay(true)?;
    stream.write_all(message.as_bytes())?;
    let mut answer = vec![0];
    stream.read_exact(&mut answer).with_context(|| format!("no answer from {url}"))?;
    let first_byte = begun.elapsed();
    stream.read_to_end(&mut answer)?;
    let (status, body) = parse(&answer).with_context(|| format!("no HTTP answer from {url}"))?;
    Ok(Answer { status, body, first_byte })
}

/// As [`request`], for what must succeed.
pub fn succeed(method: &str, url: &str, body: &str) -> anyhow::Result<Answer> {
    let answer = request(method, url, body)?;
    if !(200..300).contains(&answer.status) {
        bail!("{method} {url} answered {}: {}", answer.status, answer.body);
    }
    Ok(answer)
}

fn split(url: &str) -> Option<(&str, &str)> {
    let rest = url.strip_prefix("http://")?;
    Some(rest.split_at(rest.find('/')?))
}

fn parse(answer: &[u8]) -> Option<(u16, String)> {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let chunked = head.lines().any(|line| line.eq_ignore_ascii_case("transfer-encoding: chunked"));
    Some((status, if chunked { unchunk(body)? } else { body.to_owned() }))
}

fn unchunk(mut body: &str) -> Option<String> {
    let mut whole = String::new();
    loop {
        let (size, rest) = body.split_once("\r\n")?;
        let size = usize::from_str_radix(size, 16).ok()?;
        if size == 0 {
            return Some(whole);
        }
        whole.push_str(rest.get(..size)?);
        body = rest.get(size..)?.strip_prefix("\r\n")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read() {
        let check = |answer: &str, want: Option<(u16, &str)>| {
            let found = parse(answer.as_bytes());
            assert_eq!(found.as_ref().map(|(status, body)| (*status, body.as_str())), want, "{answer}");
        };
        check("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", Some((200, "hi")));
        check("HTTP/1.1 404 Not Found\r\n\r\n", Some((404, "")));
        check(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n1\r\n!\r\n0\r\n\r\n",
            Some((200, "hi!")),
        );
        check("SSH-2.0-x\r\n\r\n", None);
    }
}
