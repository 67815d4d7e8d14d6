//! The watchdog's life: open the port, start the function, take calls, and leave in order.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, watch};

use crate::StartError;
use crate::call::Watchdog;
use crate::config::{Config, ModeConfig};
use crate::connection;
use crate::health::Health;
use crate::limit::Gauge;
use crate::log::{Log, Stream};
use crate::mode::Mode;
use crate::process::{self, Child, Exit, Reaper, Running};
use crate::shutdown::{self, StopSignals};

/// Idle ones are closed after `read_timeout`; past this number new ones wait in the kernel's queue.
const CONNECTIONS_MAX: u32 = 4096;
const BACKLOG: u32 = 1024;

pub async fn run(config: Config, log: Log) -> Result<(), StartError> {
    let listener = listen(config.port).map_err(|source| StartError::Listen { port: config.port, source })?;
    let health = Health::prepare(config.suppress_lock)?;
    let reaper = Reaper::start().map_err(StartError::Signals)?;
    let stop = StopSignals::new().map_err(StartError::Signals)?;
    let watchdog = Arc::new(Watchdog {
        mode: Mode::new(&config, &reaper, &log),
        health,
        calls: Gauge::new(config.max_inflight),
        timeouts: config.timeouts,
        ready_path: config.ready_path.clone(),
        log,
    });
    let server = Server {
        watchdog: watchdog.clone(),
        listener,
        connections: Arc::new(Semaphore::new(CONNECTIONS_MAX as usize)),
        closing: watch::Sender::new(false),
    };
    let outcome = server.live(&config, &reaper, stop).await;
    watchdog.health.stop();
    reaper.kill_all();
    outcome
}

pub struct Server {
    pub watchdog: Arc<Watchdog>,
    listener: TcpListener,
    connections: Arc<Semaphore>,
    closing: watch::Sender<bool>,
}

impl Server {
    async fn live(
        self,
        config: &Config,
        reaper: &Arc<Reaper>,
        mut stop: StopSignals,
    ) -> Result<(), StartError> {
        let mut function = Function::start(config, reaper, &self.watchdog)?;
        self.announce(config);
        let watchdog = self.watchdog.clone();
        let opening = async {
            if let Mode::Http(http) = &watchdog.mode {
                http.open().await;
            }
            watchdog.health.start()
        };
        tokio::pin!(opening);
        let mut opened = false;
        loop {
            tokio::select! {
                biased;
                () = stop.received() => break,
                exit = function.ended() => {
                    // What it started must not outlive it.
                    function.stop(Duration::ZERO).await;
                    return Err(StartError::FunctionEnded(exit));
                }
                result = &mut opening, if !opened => {
                    result?;
                    opened = true;
                }
                () = self.accept() => {}
            }
        }
        shutdown::run(self, config, function, stop).await;
        Ok(())
    }

    fn announce(&self, config: &Config) {
        let log = &self.watchdog.log;
        let limits = config.timeouts;
        log.note(format!("Watchdog mode: {}\tfprocess: {:?}", config.mode.name(), config.command.join(" ")));
        let limit = |limit: Option<Duration>| limit.map_or("none".to_owned(), |limit| format!("{limit:?}"));
        log.note(format!(
            "Timeouts: read: {} write: {:?} hard: {} health: {}",
            limit(limits.read),
            limits.write,
            limit(limits.exec),
            limit(config.shutdown_delay)
        ));
        if let Ok(address) = self.listener.local_addr() {
            log.note(format!("Listening on port: {}", address.port()));
        }
        match self.watchdog.health.lock_path() {
            Some(path) => log.note(format!("Writing lock-file to: {}", path.display())),
            None => log.note("No lock file is written: suppress_lock is set"),
        }
    }

    /// Takes one connection.
    pub async fn accept(&self) {
        // The semaphore is never closed.
        let Ok(permit) = self.connections.clone().acquire_owned().await else { return };
        match self.listener.accept().await {
            Ok((stream, peer)) => {
                let (watchdog, closing) = (self.watchdog.clone(), self.closing.subscribe());
                tokio::spawn(async move {
                    prepare(&stream);
                    connection::serve(stream, peer.ip(), watchdog, closing).await;
                    drop(permit);
                });
            }
            Err(error) => {
                // Out of descriptors or memory: both pass, and a busy loop would not help them.
                self.watchdog.log.note(format!("cannot accept a connection: {error}"));
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }

    /// Closes the port, lets each connection finish its answer, and returns when all are gone.
    pub async fn drain(self) {
        let Self { listener, connections, closing, watchdog } = self;
        drop(listener);
        let active = watchdog.calls.count();
        watchdog.log.note(format!("No new connections allowed, draining: {active} requests"));
        closing.send_replace(true);
        let _ = connections.acquire_many(CONNECTIONS_MAX).await;
    }
}

fn prepare(stream: &TcpStream) {
    // Only slower without it.
    let _ = stream.set_nodelay(true);
}

/// Both families where there are two.
fn listen(port: u16) -> std::io::Result<TcpListener> {
    match listen_on(TcpSocket::new_v6(), (Ipv6Addr::UNSPECIFIED, port).into()) {
        Err(error) if error.kind() != std::io::ErrorKind::AddrInUse => {
            listen_on(TcpSocket::new_v4(), (Ipv4Addr::UNSPECIFIED, port).into())
        }
        bound => bound,
    }
}

fn listen_on(socket: std::io::Result<TcpSocket>, address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = socket?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// The server process of mode http; the forking modes have none.
pub struct Function(Option<(Running, tokio::net::unix::pipe::Sender)>);

impl Function {
    fn start(config: &Config, reaper: &Arc<Reaper>, watchdog: &Watchdog) -> Result<Self, StartError> {
        if !matches!(config.mode, ModeConfig::Http { .. }) {
            return Ok(Self(None));
        }
        let Child { stdin, stdout, stderr, running } =
            process::spawn(reaper, &config.command, process::Variables::new(), None)?;
        tokio::spawn(watchdog.log.clone().relay(stdout, Stream::Stdout));
        tokio::spawn(watchdog.log.clone().relay(stderr, Stream::Stderr));
        // Some servers end when their stdin does, so it is kept open and never written.
        Ok(Self(Some((running, stdin))))
    }

    pub async fn ended(&mut self) -> Exit {
        match &mut self.0 {
            Some((running, _)) => running.exited().await,
            None => std::future::pending().await,
        }
    }

    pub async fn stop(self, patience: Duration) {
        if let Some((running, _stdin)) = self.0 {
            running.stop(patience).await;
        }
    }
}
