//! The one place that waits for processes: ours, and as PID 1 every orphan of the container.
//!
//! A second waiter anywhere would race for the status, so neither std's nor tokio's `wait` is used.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Pid, Signal, WaitOptions, kill_process_group, wait};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use super::Exit;

#[derive(Default)]
pub struct Reaper {
    expected: Mutex<HashMap<Pid, oneshot::Sender<Exit>>>,
}

impl Reaper {
    pub fn start() -> std::io::Result<Arc<Self>> {
        let mut ended = signal(SignalKind::child())?;
        // Orphans come to us even when we are not PID 1; an old kernel that refuses costs nothing but that.
        let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
        let reaper = Arc::new(Self::default());
        let shared = reaper.clone();
        tokio::spawn(async move {
            while ended.recv().await.is_some() {
                shared.reap();
            }
        });
        Ok(reaper)
    }

    pub fn expect(&self, child: Pid) -> oneshot::Receiver<Exit> {
        let (sender, receiver) = oneshot::channel();
        self.expected.lock().unwrap_or_else(PoisonError::into_inner).insert(child, sender);
        receiver
    }

    /// For the last moment before we leave: nothing that we started stays behind.
    pub fn kill_all(&self) {
        for group in self.expected.lock().unwrap_or_else(PoisonError::into_inner).keys() {
            let _ = kill_process_group(*group, Signal::KILL);
        }
    }

    fn reap(&self) {
        while let Ok(Some((child, status))) = wait(WaitOptions::NOHANG) {
            let expected = self.expected.lock().unwrap_or_else(PoisonError::into_inner).remove(&child);
            if let Some(sender) = expected {
                // The receiver may have lost interest.
                let _ = sender.send(Exit::from(status));
            }
        }
    }
}
