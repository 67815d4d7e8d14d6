//! What a replica writes: passed on line by line, and the end of it kept, to say why a replica does not come up.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::net::unix::pipe;

const KEPT_BYTES_MAX: usize = 64 * 1024;
/// A longer line is passed on in pieces.
const LINE_BYTES_MAX: usize = 16 * 1024;

/// The last lines of one replica, of both streams.
#[derive(Debug, Clone, Default)]
pub struct Tail(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    lines: VecDeque<String>,
    bytes: usize,
}

/// The two ends of a stream of a replica: ours, and what its container is given.
pub fn stream() -> io::Result<(pipe::Receiver, OwnedFd)> {
    let (ours, theirs) = io::pipe()?;
    Ok((pipe::Receiver::from_owned_fd(ours.into())?, theirs.into()))
}

impl Tail {
    /// Reads until every process of the replica has closed the stream.
    pub async fn follow(
        self,
        function: String,
        replica: String,
        stream: &'static str,
        from: impl AsyncRead + Unpin,
    ) {
        let mut reader = BufReader::with_capacity(LINE_BYTES_MAX, from);
        let mut line = Vec::new();
        loop {
            let taken = match reader.fill_buf().await {
                Ok([]) | Err(_) => break,
                Ok(bytes) => {
                    let end = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| at + 1);
                    let end = end.min(LINE_BYTES_MAX - line.len());
                    line.extend_from_slice(&bytes[..end]);
                    end
                }
            };
            reader.consume(taken);
            if line.ends_with(b"\n") || line.len() == LINE_BYTES_MAX {
                self.line(&function, &replica, stream, &mut line);
            }
        }
        if !line.is_empty() {
            self.line(&function, &replica, stream, &mut line);
        }
    }

    /// The last line that says anything.
    pub fn last(&self) -> Option<String> {
        self.kept(|kept| kept.lines.iter().rev().find(|line| !line.trim().is_empty()).cloned())
    }

    fn line(&self, function: &str, replica: &str, stream: &'static str, line: &mut Vec<u8>) {
        let text = String::from_utf8_lossy(line).trim_end().to_owned();
        line.clear();
        tracing::debug!(function, replica, stream, text, "function wrote");
        self.kept(|kept| {
            kept.bytes += text.len();
            kept.lines.push_back(text);
            while kept.bytes > KEPT_BYTES_MAX || kept.lines.len() > KEPT_BYTES_MAX / 64 {
                kept.bytes -= kept.lines.pop_front().map_or(0, |line| line.len());
            }
        });
    }

    fn kept<T>(&self, with: impl FnOnce(&mut Kept) -> T) -> T {
        with(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_kept_within_the_bound() {
        let tail = Tail::default();
        let text = "x".repeat(100).repeat(3000) + "\nthe end\n\n";
        tail.clone().follow("f".into(), "r".into(), "stdout", text.as_bytes()).await;
        assert_eq!(tail.last().as_deref(), Some("the end"));
        tail.kept(|kept| {
            assert!(kept.bytes <= KEPT_BYTES_MAX);
            assert!(kept.lines.iter().all(|line| line.len() <= LINE_BYTES_MAX));
            assert_eq!(kept.bytes, kept.lines.iter().map(String::len).sum::<usize>());
        });
    }
}
