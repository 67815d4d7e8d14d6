//! The end of serving, told to all who must know.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Poll, Waker};

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

    /// Waits beside something that wakes its task for every call: whom to wake is noted once.
    pub async fn begins(&self) {
        let mut begins = pin!(self.token.cancelled());
        let mut noted: Option<Waker> = None;
        poll_fn(|cx| {
            if self.has_begun() {
                return Poll::Ready(());
            }
            if noted.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                return Poll::Pending;
            }
            noted = Some(cx.waker().clone());
            begins.as_mut().poll(cx)
        })
        .await;
    }

    /// The same end, waited for behind a lock of its own.
    pub fn of_a_worker(&self) -> Self {
        Self { begun: Arc::clone(&self.begun), token: self.token.child_token() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_is_heard_of_before_and_after() {
        let stop = Stop::default();
        let waiting = {
            let stop = stop.of_a_worker();
            tokio::spawn(async move { stop.begins().await })
        };
        tokio::task::yield_now().await;
        assert!(!stop.has_begun());
        stop.begin();
        waiting.await.unwrap();
        stop.begins().await;
    }
}
