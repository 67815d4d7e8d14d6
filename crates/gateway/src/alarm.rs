//! Timers for what almost always ends long before its time. A timer of the runtime costs a call more than all of its
//! bookkeeping; here setting one is an entry in a list of the thread, which is looked through a few times a second.
//!
//! Only threads that [`ring`] have such a list; elsewhere, and for short times, an alarm is a timer of the runtime.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use hyper::rt::Timer;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

/// How often the list is looked through, and so how late an alarm may be.
const INTERVAL: Duration = Duration::from_millis(250);
/// What is shorter is exact.
const COARSE_MIN: Duration = Duration::from_secs(10);

thread_local! {
    static LIST: RefCell<Option<List>> = const { RefCell::new(None) };
}

/// Ends once, at its time or up to a quarter of a second later. It is for one task.
#[derive(Debug)]
pub(crate) struct Alarm {
    at: Instant,
    set: Set,
}

/// The time was over.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Elapsed;

/// hyper's view of this.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Alarms;

#[derive(Debug)]
enum Set {
    /// Until it is first waited for.
    Not,
    Coarse(Place),
    Exact(Pin<Box<Sleep>>),
}

/// An entry of the list of the thread that has this number.
#[derive(Debug, Clone, Copy)]
struct Place {
    list: u64,
    entry: usize,
}

struct List {
    number: u64,
    entries: Vec<Entry>,
    /// The first of the free entries, each of which tells the next.
    free: usize,
    used: usize,
    /// Whoever looks through it, while there is nothing in it.
    idle: Option<Waker>,
}

enum Entry {
    Free(usize),
    Used {
        at: Instant,
        waker: Waker,
    },
    /// Its time has come, and it was told.
    Over,
}

/// What `future` gives, if it does so in time.
pub(crate) async fn timeout<F: Future>(limit: Duration, future: F) -> Result<F::Output, Elapsed> {
    let mut future = pin!(future);
    let mut alarm = None;
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Ok(output)),
        Poll::Pending => {
            let alarm = alarm.get_or_insert_with(|| Alarm::after(limit));
            Pin::new(alarm).poll(cx).map(|()| Err(Elapsed))
        }
    })
    .await
}

/// Gives this thread a list and looks through it, for as long as it is polled. To be run by a task of the thread's own
/// runtime.
pub(crate) async fn ring() {
    let _list = Ringing::begin();
    loop {
        poll_fn(List::poll_used).await;
        while List::look_through(Instant::now()) {
            sleep(INTERVAL).await;
        }
    }
}

impl Alarm {
    pub fn after(limit: Duration) -> Self {
        Self::at(Instant::now() + limit)
    }

    pub fn at(at: Instant) -> Self {
        Self { at, set: Set::Not }
    }

    fn set(at: Instant, cx: &mut Context<'_>) -> Set {
        if at.saturating_duration_since(Instant::now()) < COARSE_MIN {
            return Set::Exact(Box::pin(sleep_until(at)));
        }
        let place = LIST.with_borrow_mut(|list| list.as_mut().map(|list| list.add(at, cx.waker().clone())));
        place.map_or_else(|| Set::Exact(Box::pin(sleep_until(at))), Set::Coarse)
    }
}

impl Future for Alarm {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if let Set::Not = self.set {
            self.set = Self::set(self.at, cx);
            if let Set::Coarse(_) = self.set {
                return Poll::Pending;
            }
        }
        let waiting = match &mut self.set {
            Set::Exact(sleep) => return sleep.as_mut().poll(cx),
            Set::Coarse(place) => List::with(*place, |list, entry| list.waits(entry, cx.waker())),
            Set::Not => None,
        };
        match waiting {
            Some(true) => Poll::Pending,
            Some(false) => Poll::Ready(()),
            // It was set on a thread that has ended, or goes on without this task.
            None => {
                self.set = Set::Exact(Box::pin(sleep_until(self.at)));
                self.poll(cx)
            }
        }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if let Set::Coarse(place) = self.set {
            // What it held is dropped when the list is free again.
            drop(List::with(place, List::remove));
        }
    }
}

impl hyper::rt::Sleep for Alarm {}

impl Timer for Alarms {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(Alarm::after(duration))
    }

    fn sleep_until(&self, deadline: std::time::Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(Alarm::at(deadline.into()))
    }
}

/// Takes the list away with whoever looks through it.
struct Ringing;

impl Ringing {
    fn begin() -> Self {
        LIST.set(Some(List { number: fastrand::u64(..), entries: Vec::new(), free: 0, used: 0, idle: None }));
        Self
    }
}

impl Drop for Ringing {
    fn drop(&mut self) {
        // Later than this, when the thread ends, nobody asks for it any more.
        let _ = LIST.try_with(|list| list.take());
    }
}

impl List {
    /// None where the entry is not of this thread's list.
    fn with<T>(place: Place, work: impl FnOnce(&mut Self, usize) -> T) -> Option<T> {
        let work = |list: &RefCell<Option<Self>>| {
            let mut list = list.borrow_mut();
            let list = list.as_mut().filter(|list| list.number == place.list)?;
            Some(work(list, place.entry))
        };
        LIST.try_with(work).ok().flatten()
    }

    fn add(&mut self, at: Instant, waker: Waker) -> Place {
        let entry = self.free;
        let used = Entry::Used { at, waker };
        match self.entries.get_mut(entry) {
            Some(slot) => {
                if let Entry::Free(next) = std::mem::replace(slot, used) {
                    self.free = next;
                }
            }
            None => {
                self.entries.push(used);
                self.free = self.entries.len();
            }
        }
        self.used += 1;
        if let Some(idle) = self.idle.take() {
            idle.wake();
        }
        Place { list: self.number, entry }
    }

    /// Whether it is still to come; then `waker` is to be told.
    fn waits(&mut self, entry: usize, waker: &Waker) -> bool {
        match &mut self.entries[entry] {
            Entry::Used { waker: known, .. } => {
                if !known.will_wake(waker) {
                    known.clone_from(waker);
                }
                true
            }
            Entry::Free(_) | Entry::Over => false,
        }
    }

    fn remove(&mut self, entry: usize) -> Entry {
        let next = std::mem::replace(&mut self.free, entry);
        self.used -= 1;
        std::mem::replace(&mut self.entries[entry], Entry::Free(next))
    }

    fn poll_used(cx: &mut Context<'_>) -> Poll<()> {
        LIST.with_borrow_mut(|list| match list {
            Some(list) if list.used == 0 => {
                list.idle = Some(cx.waker().clone());
                // What a crowd needed is not held for ever.
                (list.entries, list.free) = (Vec::new(), 0);
                Poll::Pending
            }
            _ => Poll::Ready(()),
        })
    }

    /// Whether there is anything left to look for.
    fn look_through(now: Instant) -> bool {
        let mut over = Vec::new();
        let more = LIST.with_borrow_mut(|list| {
            let Some(list) = list else { return false };
            for entry in &mut list.entries {
                if matches!(entry, Entry::Used { at, .. } if *at <= now)
                    && let Entry::Used { waker, .. } = std::mem::replace(entry, Entry::Over)
                {
                    over.push(waker);
                }
            }
            list.used > 0
        });
        over.into_iter().for_each(Waker::wake);
        more
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn used() -> usize {
        LIST.with_borrow(|list| list.as_ref().map_or(0, |list| list.used))
    }

    #[tokio::test(start_paused = true)]
    async fn what_takes_too_long_is_ended_in_time() {
        let ringing = tokio::spawn(ring());
        tokio::task::yield_now().await;
        for limit in [Duration::from_millis(30), MINUTE] {
            let begun = Instant::now();
            let waiting = timeout(limit, pending::<()>());
            let (first, second) = tokio::join!(waiting, timeout(2 * limit, pending::<()>()));
            assert_eq!((first, second), (Err(Elapsed), Err(Elapsed)));
            let late = begun.elapsed() - 2 * limit;
            assert!(late <= INTERVAL, "{limit:?} is {late:?} late");
        }
        assert_eq!(used(), 0);
        ringing.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn what_ends_in_time_leaves_nothing() {
        let ringing = tokio::spawn(ring());
        tokio::task::yield_now().await;
        let calls: Vec<_> = (0..1000_u64)
            .map(|n| {
                let work = async move {
                    sleep(Duration::from_millis(n)).await;
                    n
                };
                tokio::spawn(timeout(MINUTE, work))
            })
            .collect();
        for (n, call) in calls.into_iter().enumerate() {
            assert_eq!(call.await.unwrap(), Ok(n as u64));
        }
        assert_eq!(used(), 0);
        ringing.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_list_it_is_a_timer() {
        assert_eq!(timeout(MINUTE, pending::<()>()).await, Err(Elapsed));
        let mut alarm = Alarm::after(MINUTE);
        let ringing = tokio::spawn(ring());
        tokio::task::yield_now().await;
        assert!(poll_fn(|cx| Poll::Ready(Pin::new(&mut alarm).poll(cx).is_pending())).await);
        assert_eq!(used(), 1);
        ringing.abort();
        assert!(ringing.await.is_err());
        alarm.await;
    }
}
