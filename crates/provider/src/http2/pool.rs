//! The connections to one endpoint.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};

use super::Config;
use super::line::{self, Line, Place};
use crate::http1::Dial;

pub(super) struct Pool {
    dial: Arc<dyn Dial>,
    config: Config,
    runtime: Handle,
    state: Mutex<State>,
    /// Held by the one that connects; the others wait for what becomes of it.
    dialing: tokio::sync::Mutex<()>,
    /// Told when a place is free or a connection gone.
    room: Notify,
}

#[derive(Default)]
struct State {
    lines: Vec<Arc<Line>>,
    /// How often connecting was tried, and why it failed the last time.
    dials: u64,
    failure: Option<(io::ErrorKind, String)>,
}

impl Pool {
    pub fn new(dial: Arc<dyn Dial>, config: Config, runtime: Handle) -> Self {
        Self {
            dial,
            config,
            runtime,
            state: Mutex::default(),
            dialing: tokio::sync::Mutex::default(),
            room: Notify::new(),
        }
    }

    /// A place on a connection; makes one, or waits, where there is none.
    pub async fn place(self: &Arc<Self>) -> io::Result<Place> {
        loop {
            let seen = match self.find() {
                Found::Place(place) => return Ok(place),
                Found::Full => {
                    self.room.notified().await;
                    continue;
                }
                Found::MayGrow(dials) => dials,
            };
            match self.grow(seen).await {
                Ok(Some(place)) => return Ok(place),
                Ok(None) => {}
                Err(error) if self.len() == 0 => return Err(error),
                Err(error) => {
                    tracing::debug!(%error, "failed to connect to a replica once more");
                    self.room.notified().await;
                }
            }
        }
    }

    /// Connects, one at a time. None when all has changed since `seen`, the count of connects until then.
    async fn grow(self: &Arc<Self>, seen: u64) -> io::Result<Option<Place>> {
        let _dialing = self.dialing.lock().await;
        match self.find() {
            Found::Place(place) => Ok(Some(place)),
            Found::Full => Ok(None),
            Found::MayGrow(dials) if dials == seen => self.connect().await.map(Some),
            // Somebody has tried meanwhile: what failed for them failed for all who waited.
            Found::MayGrow(_) => self.failure().map_or(Ok(None), Err),
        }
    }

    pub fn len(&self) -> usize {
        self.state().lines.len()
    }

    /// Takes a connection that is of no more use out. The calls on it go on.
    pub fn retire(&self, line: &Arc<Line>) {
        self.state().lines.retain(|held| !Arc::ptr_eq(held, line));
        self.grown();
    }

    /// The same, unless a call is on it.
    pub fn retire_idle(&self, line: &Arc<Line>) {
        let mut state = self.state();
        if line.is_idle() {
            state.lines.retain(|held| !Arc::ptr_eq(held, line));
        }
    }

    /// There may be room for many: for those who wait, and for one who is just about to.
    fn grown(&self) {
        self.room.notify_waiters();
        self.room.notify_one();
    }

    /// A call has left its place.
    pub fn freed(&self) {
        self.room.notify_one();
    }

    pub fn close(&self) {
        self.state().lines.clear();
    }

    fn find(self: &Arc<Self>) -> Found {
        let state = self.state();
        if let Some(line) = state.lines.iter().find(|line| line.room(self.config.streams_max) > 0) {
            return Found::Place(line.take(self));
        }
        match state.lines.len() < self.config.connections_max {
            true => Found::MayGrow(state.dials),
            false => Found::Full,
        }
    }

    fn failure(&self) -> Option<io::Error> {
        self.state().failure.as_ref().map(|(kind, text)| io::Error::new(*kind, text.clone()))
    }

    /// The socket belongs to the runtime that it is made on, so all of it is done there.
    async fn connect(self: &Arc<Self>) -> io::Result<Place> {
        let (opened, opening) = oneshot::channel();
        let dial = Arc::clone(&self.dial);
        let (pool, config) = (Arc::downgrade(self), self.config.clone());
        self.runtime.spawn(async move {
            match line::open(&*dial, config.connect_timeout).await {
                Ok((line, task)) => {
                    let held = Arc::downgrade(&line);
                    // When nobody waits any more, the line is dropped, and with it the task ends.
                    drop(opened.send(Ok(line)));
                    task.run(held, pool, config.idle_timeout).await;
                }
                Err(error) => drop(opened.send(Err(error))),
            }
        });
        let opened = opening.await.unwrap_or_else(|_| Err(io::Error::other("the runtime has ended")));
        let mut state = self.state();
        state.dials += 1;
        match opened {
            Ok(line) => {
                state.failure = None;
                let place = line.take(self);
                state.lines.push(line);
                drop(state);
                self.grown();
                Ok(place)
            }
            Err(error) => {
                state.failure = Some((error.kind(), error.to_string()));
                Err(error)
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

enum Found {
    Place(Place),
    /// As many connections as there may be, and no room on them.
    Full,
    /// With the count of connects so far.
    MayGrow(u64),
}
