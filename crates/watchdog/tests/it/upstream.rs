//! The function's server in mode http, inside the test, so that it sees and decides every byte.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::watchdog::{PATIENCE, Watchdog};

#[derive(Debug, Clone)]
pub struct Seen {
    pub line: String,
    pub headers: Vec<String>,
    pub body: Vec<u8>,
}

pub struct Upstream {
    pub url: String,
    seen: Receiver<Seen>,
}

impl Upstream {
    /// `answer` writes what it wants; the connection is closed when it says `false`.
    pub fn start(answer: impl Fn(&Seen, &mut TcpStream) -> bool + Send + Sync + 'static) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").expect("port"), answer)
    }

    pub fn on(
        listener: TcpListener,
        answer: impl Fn(&Seen, &mut TcpStream) -> bool + Send + Sync + 'static,
    ) -> Self {
        let url = format!("http://{}", listener.local_addr().expect("address"));
        let (sender, seen) = channel();
        let shared = Arc::new((answer, Mutex::new(sender)));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = shared.clone();
                thread::spawn(move || serve(stream, &shared.0, &shared.1));
            }
        });
        Self { url, seen }
    }

    /// Always this text, whatever is asked.
    pub fn fixed(response: &'static str) -> Self {
        Self::start(move |_, stream| stream.write_all(response.as_bytes()).is_ok())
    }

    pub fn seen(&self) -> Seen {
        self.seen.recv_timeout(PATIENCE).expect("a request at the upstream")
    }

    /// The watchdog in mode http before it; the function's process itself does nothing.
    pub fn watchdog(&self, variables: &[(&str, &str)]) -> Watchdog {
        let own = [("mode", "http"), ("fprocess", "sleep 1000"), ("upstream_url", self.url.as_str())];
        let watchdog = Watchdog::start(&own.iter().chain(variables).copied().collect::<Vec<_>>());
        watchdog.wait_healthy();
        watchdog
    }
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut pairs = self.headers.iter().filter_map(|line| line.split_once(": "));
        pairs.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

fn serve(stream: TcpStream, answer: &impl Fn(&Seen, &mut TcpStream) -> bool, sender: &Mutex<Sender<Seen>>) {
    let mut reader = BufReader::new(stream);
    while let Some(seen) = read(&mut reader) {
        // The test may have ended.
        let _ = sender.lock().expect("sender").send(seen.clone());
        if !answer(&seen, reader.get_mut()) {
            return;
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Seen> {
    let mut line = || -> Option<String> {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        Some(line.strip_suffix("\r\n")?.to_owned())
    };
    let mut seen = Seen { line: line()?, headers: Vec::new(), body: Vec::new() };
    loop {
        let header = line()?;
        if header.is_empty() {
            break;
        }
        seen.headers.push(header);
    }
    let exactly = |reader: &mut BufReader<TcpStream>, size: u64, body: &mut Vec<u8>| {
        reader.by_ref().take(size).read_to_end(body).ok().filter(|read| *read as u64 == size)
    };
    if let Some(length) = seen.header("content-length").map(|text| text.parse().expect("length")) {
        exactly(reader, length, &mut seen.body)?;
    } else if seen.header("transfer-encoding").is_some() {
        loop {
            let mut size = String::new();
            reader.read_line(&mut size).ok()?;
            let size = u64::from_str_radix(size.trim(), 16).ok()?;
            exactly(reader, size, &mut seen.body)?;
            reader.read_line(&mut String::new()).ok()?;
            if size == 0 {
                break;
            }
        }
    }
    Some(seen)
}
