//! Which idle connections a thread uses. A connection is woken by the runtime that it was opened on, so a thread that is
//! a runtime by itself takes a seat and keeps connections of its own; all other threads share seat 0.

use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

thread_local! {
    static CURRENT: Cell<usize> = const { Cell::new(0) };
}

/// Whether each seat is taken; seat 0 always is.
static TAKEN: Mutex<Vec<bool>> = Mutex::new(Vec::new());
/// One more than the highest seat that was ever taken.
static COUNT: AtomicUsize = AtomicUsize::new(1);

/// The thread's seat, free again when dropped. It is to be held for as long as the thread's runtime runs.
#[derive(Debug)]
pub struct Seat {
    number: usize,
    /// It is the thread's.
    _not_send: PhantomData<*const ()>,
}

impl Seat {
    pub fn take() -> Self {
        let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.is_empty() {
            taken.push(true);
        }
        let number = taken.iter().position(|taken| !taken).unwrap_or(taken.len());
        if number == taken.len() {
            taken.push(true);
            COUNT.store(taken.len(), Ordering::Relaxed);
        }
        taken[number] = true;
        CURRENT.set(number);
        Self { number, _not_send: PhantomData }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        CURRENT.set(0);
        if let Some(taken) = TAKEN.lock().unwrap_or_else(PoisonError::into_inner).get_mut(self.number) {
            *taken = false;
        }
    }
}

/// The seat of this thread.
pub(super) fn current() -> usize {
    CURRENT.get()
}

/// How many seats there have been at once.
pub(super) fn count() -> usize {
    COUNT.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thread_has_its_own_and_leaves_it() {
        let seat = Seat::take();
        assert_eq!(current(), seat.number);
        assert_ne!(current(), 0);
        let other = std::thread::spawn(|| Seat::take().number).join().unwrap();
        assert_ne!(other, seat.number);
        assert!(count() > other.max(seat.number));
        drop(seat);
        assert_eq!(current(), 0);
    }
}
