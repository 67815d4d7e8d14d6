//! A second, strict reader of HTTP/1.1, which shares nothing with what it judges.

use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a message may take to come; what is reached by waiting this long fails a test.
const WAIT: Duration = Duration::from_secs(5);

pub struct Wire {
    pub stream: TcpStream,
    buffer: Vec<u8>,
}

#[derive(Debug, Clone)]
pub struct Message {
    pub first: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub raw: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// The connection ended between two messages.
    End,
    /// The connection ended within a message that began with this line.
    Cut(String),
    /// It is not HTTP/1.1.
    Malformed(String),
    Late,
}

impl Message {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn status(&self) -> u16 {
        self.first.get(9..12).and_then(|code| code.parse().ok()).unwrap_or_default()
    }

    fn framing(&self) -> Result<Framing, String> {
        let of = |name: &str| self.headers.iter().filter(|(known, _)| known == name).collect::<Vec<_>>();
        match (&*of("content-length"), &*of("transfer-encoding")) {
            ([], []) => Ok(Framing::None),
            ([(_, length)], []) if length.bytes().all(|b| b.is_ascii_digit()) => {
                length.parse().map(Framing::Length).map_err(|_| format!("content-length: {length}"))
            }
            ([], [(_, coding)]) if coding == "chunked" => Ok(Framing::Chunked),
            (lengths, codings) => Err(format!("its framing is in doubt: {lengths:?} {codings:?}")),
        }
    }
}

enum Framing {
    None,
    Length(usize),
    Chunked,
}

impl Wire {
    pub fn new(stream: TcpStream) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    pub async fn request(&mut self) -> Result<Message, Fault> {
        let mut message = self.head().await?;
        let words: Vec<_> = message.first.split(' ').collect();
        if words.len() != 3 || words[2] != "HTTP/1.1" || words.contains(&"") {
            return Err(Fault::Malformed(message.first));
        }
        if message.headers.iter().filter(|(name, _)| name == "host").count() != 1 {
            return Err(Fault::Malformed(format!("{}: hosts in {:?}", message.first, message.headers)));
        }
        self.body(&mut message, false).await?;
        Ok(message)
    }

    /// The answer to a request with this method.
    pub async fn response(&mut self, method: &str) -> Result<Message, Fault> {
        let mut message = self.head().await?;
        if !message.first.starts_with("HTTP/1.1 ") && !message.first.starts_with("HTTP/1.0 ") {
            return Err(Fault::Malformed(message.first));
        }
        let status = message.status();
        if method != "HEAD" && !matches!(status, 100..200 | 204 | 304) {
            self.body(&mut message, true).await?;
        }
        Ok(message)
    }

    /// Whether the connection ends without another byte.
    pub async fn ends(&mut self) -> Result<(), Fault> {
        match self.more().await {
            Err(Fault::End) if self.buffer.is_empty() => Ok(()),
            Err(fault) if fault != Fault::End => Err(fault),
            _ => Err(Fault::Malformed(String::from_utf8_lossy(&self.buffer).into_owned())),
        }
    }

    async fn head(&mut self) -> Result<Message, Fault> {
        let end = self.find(b"\r\n\r\n", "").await?;
        let raw: Vec<u8> = self.buffer.drain(..end).collect();
        let malformed = || Fault::Malformed(String::from_utf8_lossy(&raw).into_owned());
        let head = String::from_utf8(raw.clone()).map_err(|_| malformed())?;
        let mut lines = head.strip_suffix("\r\n\r\n").ok_or_else(malformed)?.split("\r\n");
        let first = lines.next().unwrap_or_default().to_owned();
        let mut headers = Vec::new();
        for line in lines {
            let (name, value) = line.split_once(':').ok_or_else(malformed)?;
            let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
            if name.is_empty() || !name.bytes().all(token) || value.contains(['\r', '\n', '\0']) {
                return Err(malformed());
            }
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        if first.contains(['\r', '\n', '\0']) {
            return Err(malformed());
        }
        Ok(Message { first, headers, body: Vec::new(), raw })
    }

    async fn body(&mut self, message: &mut Message, until_end: bool) -> Result<(), Fault> {
        let first = message.first.clone();
        match message.framing().map_err(Fault::Malformed)? {
            Framing::None if until_end => loop {
                match self.more().await {
                    Ok(()) => {}
                    Err(Fault::End) => break message.body = std::mem::take(&mut self.buffer),
                    Err(fault) => return Err(fault),
                }
            },
            Framing::None => {}
            Framing::Length(length) => {
                while self.buffer.len() < length {
                    self.within(&first).await?;
                }
                message.body = self.buffer.drain(..length).collect();
            }
            Framing::Chunked => return self.chunks(message).await,
        }
        message.raw.extend_from_slice(&message.body);
        Ok(())
    }

    async fn chunks(&mut self, message: &mut Message) -> Result<(), Fault> {
        let first = message.first.clone();
        loop {
            let line = self.line(&first, message).await?;
            let hex = std::str::from_utf8(&line).unwrap_or("?");
            let digits = !hex.is_empty() && hex.bytes().all(|b| b.is_ascii_hexdigit());
            let size = usize::from_str_radix(hex, 16).ok().filter(|_| digits);
            let size = size.ok_or_else(|| Fault::Malformed(format!("{first}: chunk size {hex:?}")))?;
            if size == 0 {
                break;
            }
            while self.buffer.len() < size + 2 {
                self.within(&first).await?;
            }
            let chunk: Vec<u8> = self.buffer.drain(..size + 2).collect();
            if !chunk.ends_with(b"\r\n") {
                return Err(Fault::Malformed(format!("{first}: a chunk without an end")));
            }
            message.body.extend_from_slice(&chunk[..size]);
            message.raw.extend_from_slice(&chunk);
        }
        while !self.line(&first, message).await?.is_empty() {}
        Ok(())
    }

    /// A line without its end, which is noted in the raw message.
    async fn line(&mut self, first: &str, message: &mut Message) -> Result<Vec<u8>, Fault> {
        let end = self.find(b"\r\n", first).await?;
        let mut line: Vec<u8> = self.buffer.drain(..end).collect();
        message.raw.extend_from_slice(&line);
        line.truncate(line.len() - 2);
        Ok(line)
    }

    /// Just behind the first `end`.
    async fn find(&mut self, end: &[u8], first: &str) -> Result<usize, Fault> {
        loop {
            if let Some(at) = self.buffer.windows(end.len()).position(|window| window == end) {
                return Ok(at + end.len());
            }
            match self.more().await {
                Err(Fault::End) if self.buffer.is_empty() && first.is_empty() => return Err(Fault::End),
                Err(Fault::End) => {
                    let begun = String::from_utf8_lossy(&self.buffer);
                    let begun = begun.lines().next().unwrap_or_default().to_owned();
                    return Err(Fault::Cut(if first.is_empty() { begun } else { first.to_owned() }));
                }
                more => more?,
            }
        }
    }

    async fn within(&mut self, first: &str) -> Result<(), Fault> {
        self.more().await.map_err(|fault| match fault {
            Fault::End => Fault::Cut(first.to_owned()),
            fault => fault,
        })
    }

    async fn more(&mut self) -> Result<(), Fault> {
        let mut piece = [0; 16 * 1024];
        match timeout(WAIT, self.stream.read(&mut piece)).await {
            Err(_) => Err(Fault::Late),
            // A reset is an end too: of a peer that had been sent more than it took.
            Ok(Ok(0) | Err(_)) => Err(Fault::End),
            Ok(Ok(read)) => {
                self.buffer.extend_from_slice(&piece[..read]);
                Ok(())
            }
        }
    }
}
