//! Callers that count: keep-alive connections which expect an answer to every request that they send.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// What is under way: as many callers as connections, until enough was answered or the load is stopped.
pub struct Load {
    progress: Arc<Progress>,
    callers: JoinSet<Vec<String>>,
}

struct Progress {
    begun: AtomicU64,
    answered: AtomicU64,
    count: u64,
    /// Told now and then, so that whoever waits for progress need not look all the time.
    moved: Notify,
}

impl Load {
    /// `count` POSTs of a few bytes to `path`, over `connections` connections at once.
    pub fn start(address: &str, path: &str, connections: usize, count: u64) -> Self {
        let progress = Arc::new(Progress {
            begun: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            count,
            moved: Notify::new(),
        });
        let mut callers = JoinSet::new();
        let request =
            format!("POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-length: 5\r\n\r\nhello").into_bytes();
        for _ in 0..connections {
            callers.spawn(call(address.to_owned(), request.clone(), Arc::clone(&progress)));
        }
        Self { progress, callers }
    }

    pub fn answered(&self) -> u64 {
        self.progress.answered.load(Ordering::Relaxed)
    }

    /// Waits until that many requests were answered, or all of them.
    pub async fn until(&self, answered: u64) {
        while self.answered() < answered.min(self.progress.count) {
            self.progress.moved.notified().await;
        }
    }

    /// Waits for the end, and tells what was lost, and why.
    pub async fn lost(self) -> Vec<String> {
        self.callers.join_all().await.into_iter().flatten().collect()
    }
}

/// One connection after another, with one request after another on each.
async fn call(address: String, request: Vec<u8>, progress: Arc<Progress>) -> Vec<String> {
    let mut lost = Vec::new();
    let mut stream = None;
    while progress.begun.fetch_add(1, Ordering::Relaxed) < progress.count {
        let reused = stream.is_some();
        match exchange(&address, &request, &mut stream).await {
            Ok(200) => {}
            Ok(status) => lost.push(format!("status {status}")),
            Err(error) => {
                stream = None;
                lost.push(format!("{error} ({})", if reused { "reused" } else { "new connection" }));
            }
        }
        let answered = progress.answered.fetch_add(1, Ordering::Relaxed) + 1;
        if answered.is_multiple_of(100) || answered >= progress.count {
            progress.moved.notify_waiters();
            progress.moved.notify_one();
        }
    }
    lost
}

async fn exchange(address: &str, request: &[u8], stream: &mut Option<TcpStream>) -> io::Result<u16> {
    let mut connection = match stream.take() {
        Some(connection) => connection,
        None => {
            let connection = TcpStream::connect(address).await?;
            connection.set_nodelay(true)?;
            connection
        }
    };
    connection.write_all(request).await?;
    let mut answer = Vec::with_capacity(1024);
    let end = loop {
        if connection.read_buf(&mut answer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    let invalid = || io::Error::new(io::ErrorKind::InvalidData, head.clone());
    let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let length: usize = field("content-length:").and_then(|text| text.parse().ok()).ok_or_else(invalid)?;
    while answer.len() < end + length {
        if connection.read_buf(&mut answer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    if field("connection:") != Some("close") {
        *stream = Some(connection);
    }
    head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(invalid)
}
