//! Leaving: say no to probes, serve what still comes, close the port, drain, and only then end the function.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::timeout;

use crate::config::Config;
use crate::server::{Function, Server};

/// From SIGTERM to SIGKILL for a function that has no call left to finish.
const FUNCTION_STOP_MAX: Duration = Duration::from_secs(10);

pub struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    pub fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    pub async fn received(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// A second signal skips what is left of the waiting.
pub async fn run(server: Server, config: &Config, function: Function, mut stop: StopSignals) {
    let watchdog = server.watchdog.clone();
    let delay = config.shutdown_delay.unwrap_or_default();
    watchdog.log.note(format!("SIGTERM: no new connections in {delay:?}"));
    watchdog.health.stop();
    let write = config.timeouts.write;
    let leaving = async {
        serve_on(&server, delay).await;
        let drained = timeout(write, server.drain()).await;
        if drained.is_err() {
            watchdog.log.note("Draining took longer than write_timeout: the rest is cut off");
        }
    };
    tokio::select! {
        () = leaving => {}
        () = stop.received() => watchdog.log.note("Second signal: the rest is cut off"),
    }
    function.stop(write.min(FUNCTION_STOP_MAX)).await;
    watchdog.log.note(format!("Exiting. Active connections: {}", watchdog.calls.count()));
}

/// Callers need this time to learn from the probes that we are leaving.
async fn serve_on(server: &Server, delay: Duration) {
    let end = tokio::time::sleep(delay);
    tokio::pin!(end);
    loop {
        tokio::select! {
            () = &mut end => return,
            () = server.accept() => {}
        }
    }
}
