//! One connection of a caller: HTTP/1 on it, its deadline, and its end when the watchdog stops.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::call::Watchdog;
use crate::config::Timeouts;

const HEADER_MAX: usize = 1024 * 1024;
const HEADERS_MAX: usize = 512;

pub async fn serve(
    stream: TcpStream,
    peer: IpAddr,
    watchdog: Arc<Watchdog>,
    mut closing: watch::Receiver<bool>,
) {
    let deadline = Arc::new(Deadline::new(watchdog.timeouts));
    let service = service_fn(|request| {
        let answer = watchdog.clone().answer(request, peer, deadline.clone());
        async { Ok::<_, Infallible>(answer.await) }
    });
    let connection = http1::Builder::new()
        .title_case_headers(true)
        .max_headers(HEADERS_MAX)
        .max_header_size(HEADER_MAX)
        .max_buf_size(HEADER_MAX + 64 * 1024)
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let mut closed = pin!(async move { closing.wait_for(|closing| *closing).await.is_ok() });
    let mut open = true;
    let mut armed = deadline.get();
    let mut timer = pin!(sleep_until(armed));
    poll_fn(|context| {
        if open && closed.as_mut().poll(context).is_ready() {
            open = false;
            connection.as_mut().graceful_shutdown();
        }
        // A connection that fails has nobody left to tell.
        if connection.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        loop {
            // The timer is moved late, when it fires, so that a call costs it nothing.
            let wanted = deadline.get();
            if wanted < armed {
                armed = wanted;
                timer.as_mut().reset(armed);
            }
            if timer.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            if wanted <= Instant::now() {
                return Poll::Ready(());
            }
            armed = wanted;
            timer.as_mut().reset(armed);
        }
    })
    .await;
}

/// When the connection is dropped, whatever it is doing: this is what stops a caller who neither reads nor writes.
pub struct Deadline {
    at: Mutex<Instant>,
    timeouts: Timeouts,
}

impl Deadline {
    fn new(timeouts: Timeouts) -> Self {
        Self { at: Mutex::new(idle(timeouts)), timeouts }
    }

    /// A request's header has been read.
    pub fn begin(&self, now: Instant) {
        *self.lock() = now + self.timeouts.write;
    }

    /// This answer must be over sooner.
    pub fn cut(&self, at: Instant) {
        let mut current = self.lock();
        *current = at.min(*current);
    }

    /// The answer is over; the next request may take its time.
    pub fn end(&self) {
        *self.lock() = idle(self.timeouts);
    }

    fn get(&self) -> Instant {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, Instant> {
        self.at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn idle(timeouts: Timeouts) -> Instant {
    Instant::now() + timeouts.read.unwrap_or(Duration::from_secs(365 * 86_400))
}
