//! A client that shows everything: raw bytes out, status, headers, body, and whether the body was whole.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::thread;

use crate::watchdog::{PATIENCE, Watchdog};

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub whole: bool,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    pub fn all(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Watchdog {
    pub fn open(&self) -> Connection {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).expect("connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
        Connection { reader: BufReader::new(stream) }
    }

    pub fn get(&self, target: &str) -> Reply {
        self.send("GET", target, &[], b"")
    }

    pub fn post(&self, target: &str, body: &[u8]) -> Reply {
        self.send("POST", target, &[], body)
    }

    /// Writes from a thread of its own, so that an answer may begin before the request ends.
    pub fn send(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let mut connection = self.open();
        let mut writer = connection.stream().try_clone().expect("second handle");
        let mut head = format!("{method} {target} HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n");
        if !body.is_empty() {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        thread::scope(|scope| {
            scope.spawn(move || {
                // An answer may come, and the connection go, before everything was taken.
                let _ = writer.write_all(head.as_bytes()).and_then(|()| writer.write_all(body));
            });
            connection.reply(method == "HEAD").expect("a reply")
        })
    }
}

pub struct Connection {
    reader: BufReader<TcpStream>,
}

impl Connection {
    pub fn stream(&mut self) -> &mut TcpStream {
        self.reader.get_mut()
    }

    pub fn write(&mut self, text: &str) {
        self.stream().write_all(text.as_bytes()).expect("write");
    }

    /// `None` when the connection ends before a header is complete.
    pub fn reply(&mut self, head_only: bool) -> Option<Reply> {
        let mut reply = self.head()?;
        if head_only || matches!(reply.status, 101 | 204 | 304) {
            reply.whole = true;
        } else if reply.header("transfer-encoding") == Some("chunked") {
            while let Some(chunk) = self.chunk() {
                reply.whole = chunk.is_empty();
                if reply.whole {
                    break;
                }
                reply.body.extend(chunk);
            }
        } else {
            let length: u64 = reply.header("content-length").map_or(0, |text| text.parse().expect("length"));
            let read = self.reader.by_ref().take(length).read_to_end(&mut reply.body);
            reply.whole = read.is_ok() && reply.body.len() as u64 == length;
        }
        Some(reply)
    }

    pub fn head(&mut self) -> Option<Reply> {
        let first = self.line()?;
        let status = first.split(' ').nth(1)?.parse().ok()?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Some(Reply { status, headers, body: Vec::new(), whole: false });
            }
            let (name, value) = line.split_once(':')?;
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
    }

    /// Empty is the last one, `None` is a broken end.
    pub fn chunk(&mut self) -> Option<Vec<u8>> {
        let size = u64::from_str_radix(&self.line()?, 16).ok()?;
        let mut chunk = Vec::new();
        self.reader.by_ref().take(size).read_to_end(&mut chunk).ok()?;
        (chunk.len() as u64 == size && self.line()?.is_empty()).then_some(chunk)
    }

    pub fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        self.reader.read_line(&mut line).ok()?;
        Some(line.strip_suffix("\r\n")?.to_owned())
    }
}
