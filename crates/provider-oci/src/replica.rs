//! The life of one replica: start, wait until it takes calls, serve, drain, stop.

use std::sync::Arc;
use std::time::Duration;

use image::Image;
use model::{FunctionId, SecretId};
use provider::Endpoint;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::client::Client;
use crate::container::ContainerSpec;
use crate::health::Probe;
use crate::host::Host;
use crate::launcher::Container;
use crate::logs::{self, Capture, FunctionLog, LastLine};
use crate::network::ReplicaDial;
use crate::secrets::Handover;

/// A replica that takes no call by then is given up and another is tried.
const READY_TIME_MAX: Duration = Duration::from_secs(120);
/// Whatever else holds the streams of a replica that has ended is not waited for.
const CAPTURE_TIME_MAX: Duration = Duration::from_secs(2);
const DRAIN_POLL: Duration = Duration::from_millis(5);

/// What a replica tells its keeper.
#[derive(Debug)]
pub enum Report {
    Ready {
        replica: String,
        endpoint: Arc<Endpoint>,
    },
    /// It is gone, and nothing is left of it; `why` when nobody asked it to go.
    Ended {
        replica: String,
        why: Option<String>,
    },
}

pub struct Replica {
    pub function: FunctionId,
    pub log: Arc<FunctionLog>,
    pub container: ContainerSpec,
    /// Read anew at the start.
    pub secrets: Vec<SecretId>,
    /// Held so that its layers are not collected under the container.
    pub image: Image,
    pub probe: Probe,
    /// Asks the replica to go.
    pub stop: CancellationToken,
    pub reports: mpsc::Sender<Report>,
}

impl Replica {
    pub async fn live(self, host: Arc<Host>) {
        let replica = self.container.id.clone();
        let (last_line, mut captures) = (LastLine::default(), JoinSet::new());
        let why = match self.start(&host, &last_line, &mut captures).await {
            Err(why) => Some(why),
            Ok(container) => {
                let why = self.serve(&container, &host).await;
                let exit = container.stop(host.grace).await;
                tracing::info!(function = %self.function, replica, %exit, "replica ended");
                why
            }
        };
        // What it wrote is in the log when its end is told.
        let captured = async { while captures.join_next().await.is_some() {} };
        let _ = timeout(CAPTURE_TIME_MAX, captured).await;
        drop(captures);
        // Whoever is asked to go may end as it likes.
        let why = why.filter(|_| !self.stop.is_cancelled());
        let why = why.map(|why| with_last_line(why, &last_line));
        if let Some(why) = &why {
            tracing::warn!(function = %self.function, replica, why, "replica failed");
        }
        // Before the report, upon which the image may be collected.
        drop(self.image);
        // A keeper that is gone wants no report.
        let _ = self.reports.send(Report::Ended { replica, why }).await;
    }

    async fn start(
        &self,
        host: &Host,
        last_line: &LastLine,
        captures: &mut JoinSet<()>,
    ) -> Result<Container, String> {
        let _turn = host.starts.acquire().await.map_err(|_| "the platform is stopping".to_owned())?;
        if self.stop.is_cancelled() {
            return Err("stopped before it began".to_owned());
        }
        let begun = Instant::now();
        let streams = || Ok::<_, std::io::Error>((logs::stream()?, logs::stream()?));
        let ((out, out_theirs), (err, err_theirs)) =
            streams().map_err(|error| format!("no pipe: {error}"))?;
        let launcher = host.launcher().await.map_err(|error| error.to_string())?;
        for (stream, from) in [("stdout", out), ("stderr", err)] {
            let (log, replica) = (Arc::clone(&self.log), self.container.id.clone());
            let (last_line, writes) = (last_line.clone(), Arc::clone(&host.log_writes));
            captures.spawn(Capture { log, replica, last_line, writes }.follow(stream, from));
        }
        let secrets = self.hand_over(host).await?;
        let container = ContainerSpec { secrets: secrets.files, ..self.container.clone() };
        let run = launcher.run(&container, secrets.content, out_theirs, err_theirs).await;
        let container = run.map_err(|error| error.to_string())?;
        let (pid, took_ms) = (container.pid(), begun.elapsed().as_millis());
        tracing::debug!(function = %self.function, replica = container.id(), pid, took_ms, "container started");
        Ok(container)
    }

    async fn hand_over(&self, host: &Host) -> Result<Handover, String> {
        let (secrets, ids) = (Arc::clone(&host.secrets), self.secrets.clone());
        let handover = crate::blocking(move || secrets.hand_over(&ids)).await;
        handover.map_err(|error| error.to_string())?.map_err(|error| crate::error::chain(&error))
    }

    /// Until it is asked to go and has answered its calls, or ends by itself; then tells why.
    async fn serve(&self, container: &Container, host: &Host) -> Option<String> {
        let dial = ReplicaDial::new(container.netns());
        let client = Client::new(self.probe.protocol(), dial, host.idle_max);
        let ready = timeout(READY_TIME_MAX, self.probe.ready(&client));
        tokio::select! {
            biased;
            () = self.stop.cancelled() => return None,
            exit = container.exited() => return Some(format!("it {exit} before it took calls")),
            ready = ready => if ready.is_err() {
                return Some(format!("it took no call within {} s", READY_TIME_MAX.as_secs()));
            },
        }
        let endpoint = Arc::new(Endpoint::new(container.id(), client.into_invoke()));
        let report = Report::Ready { replica: container.id().to_owned(), endpoint: Arc::clone(&endpoint) };
        let _ = self.reports.send(report).await;
        tokio::select! {
            biased;
            () = self.stop.cancelled() => (),
            exit = container.exited() => return Some(format!("it {exit}")),
        }
        endpoint.close();
        let drained = async {
            while endpoint.in_flight() > 0 {
                sleep(DRAIN_POLL).await;
            }
        };
        tokio::select! {
            _ = timeout(host.grace, drained) => (),
            _ = container.exited() => (),
        }
        None
    }
}

fn with_last_line(text: String, last_line: &LastLine) -> String {
    match last_line.get() {
        Some(line) => format!("{text}; it last wrote: {line}"),
        None => text,
    }
}
