//! The thread that writes: two bounded buffers, taken whole and written in one go.

use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::Stream;

/// Each buffer takes one more line while below this.
const BUFFER_MAX: usize = 256 * 1024;
const GATHER: Duration = Duration::from_millis(1);
const FINISH_MAX: Duration = Duration::from_secs(1);

pub struct Writer {
    pending: Mutex<Pending>,
    filled: Condvar,
    written: Condvar,
    room: Notify,
}

#[derive(Default)]
struct Pending {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    dropped: u64,
    writing: bool,
}

impl Pending {
    fn buffer(&mut self, stream: Stream) -> &mut Vec<u8> {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }

    fn is_empty(&self) -> bool {
        self.stdout.is_empty() && self.stderr.is_empty() && self.dropped == 0
    }
}

impl Writer {
    pub fn start() -> Arc<Self> {
        let writer = Arc::new(Self {
            pending: Mutex::default(),
            filled: Condvar::new(),
            written: Condvar::new(),
            room: Notify::new(),
        });
        let shared = writer.clone();
        // Without a thread (a tight pids limit) lines are dropped, not the function.
        let _ =
            std::thread::Builder::new().name("log".into()).stack_size(64 * 1024).spawn(move || shared.work());
        writer
    }

    /// Drops the line when there is no room.
    pub fn offer(&self, stream: Stream, fill: impl FnOnce(&mut Vec<u8>)) {
        let mut pending = self.lock();
        if pending.buffer(stream).len() < BUFFER_MAX {
            fill(pending.buffer(stream));
        } else {
            pending.dropped += 1;
        }
        self.wake(pending);
    }

    /// Waits for room.
    pub async fn put(&self, stream: Stream, line: &[u8]) {
        loop {
            let room = self.room.notified();
            {
                let mut pending = self.lock();
                if pending.buffer(stream).len() < BUFFER_MAX {
                    pending.buffer(stream).extend_from_slice(line);
                    self.wake(pending);
                    return;
                }
            }
            room.await;
        }
    }

    pub fn finish(&self) {
        let deadline = Instant::now() + FINISH_MAX;
        let mut pending = self.lock();
        while pending.writing || !pending.is_empty() {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else { return };
            pending = self.written.wait_timeout(pending, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn wake(&self, pending: MutexGuard<'_, Pending>) {
        let asleep = !pending.writing;
        drop(pending);
        if asleep {
            self.filled.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        loop {
            let mut pending = self.lock();
            pending.writing = false;
            self.written.notify_all();
            while pending.is_empty() {
                pending = self.filled.wait(pending).unwrap_or_else(PoisonError::into_inner);
            }
            pending.writing = true;
            drop(pending);
            // Waking for each line costs a busy function more than the lines do.
            std::thread::sleep(GATHER);
            let mut pending = self.lock();
            std::mem::swap(&mut stdout, &mut pending.stdout);
            std::mem::swap(&mut stderr, &mut pending.stderr);
            if std::mem::take(&mut pending.dropped) > 0 {
                stderr.extend_from_slice(b"log lines were dropped: the reader of this log is too slow\n");
            }
            drop(pending);
            self.room.notify_waiters();
            // A closed or full log is no reason to stop serving.
            let _ = std::io::stdout().write_all(&stdout);
            let _ = std::io::stdout().flush();
            let _ = std::io::stderr().write_all(&stderr);
            for buffer in [&mut stdout, &mut stderr] {
                buffer.clear();
                buffer.shrink_to(4 * 1024);
            }
        }
    }
}
