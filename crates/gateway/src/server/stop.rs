//! The end of serving, told to all who must know.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_util::sync::CancellationToken;

/// Asked for on every answer, so looking at it takes no lock.
#[derive(Debug, Clone, Default)]
pub(super) struct Stop {
    begun: Arc<AtomicBool>,
    token: CancellationToken,
}

impl Stop {
    pub fn begin(&self) {
        self.begun.store(true, Ordering::Release);
        self.token.cancel();
    }

    pub fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Acquire)
    }

    pub async fn begins(&self) {
        self.token.cancelled().await;
    }

    /// The same end, waited for behind a lock of its own.
    pub fn of_a_worker(&self) -> Self {
        Self { begun: Arc::clone(&self.begun), token: self.token.child_token() }
    }
}
