//! Child processes: each in its own process group, its pipes on the event loop, its end told by the reaper.

mod environment;
mod exit;
mod reaper;

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use tokio::net::unix::pipe;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::limit::Slot;

pub use environment::{EnvironmentError, Variables, from_request, is_well_encoded};
pub use exit::Exit;
pub use reaper::Reaper;

/// From SIGTERM to SIGKILL when a call is over before its process is.
const KILL_DELAY: Duration = Duration::from_millis(500);

/// Worded as Go words it: callers of mode serializing read this text.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    #[error("exec: {program:?}: executable file not found in $PATH")]
    NotInPath { program: String },
    #[error("fork/exec {program}: {reason}")]
    Exec { program: String, reason: String },
    #[error("{0}")]
    Pipe(#[from] io::Error),
}

pub struct Child {
    pub stdin: pipe::Sender,
    pub stdout: pipe::Receiver,
    pub stderr: pipe::Receiver,
    pub running: Running,
}

/// A process group that ends with this handle: dropped early, it is terminated, then killed.
pub struct Running {
    group: Pid,
    exit: Option<oneshot::Receiver<Exit>>,
    /// A call's place is held until its process is gone.
    slot: Option<Slot>,
    settled: bool,
}

pub fn spawn(
    reaper: &Arc<Reaper>,
    argv: &[String],
    variables: Variables,
    slot: Option<Slot>,
) -> Result<Child, SpawnError> {
    let (program, arguments) =
        argv.split_first().ok_or(io::ErrorKind::InvalidInput).map_err(io::Error::from)?;
    let mut child = Command::new(program)
        .args(arguments)
        .envs(variables)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|error| spawn_error(program, &error))?;
    let group = Pid::from_child(&child);
    // No await since the spawn: the reaper cannot have met this process yet.
    let running = Running { group, exit: Some(reaper.expect(group)), slot, settled: false };
    let missing = || io::Error::other("a pipe of the new process is missing");
    Ok(Child {
        stdin: pipe::Sender::from_owned_fd(child.stdin.take().ok_or_else(missing)?.into())?,
        stdout: pipe::Receiver::from_owned_fd(child.stdout.take().ok_or_else(missing)?.into())?,
        stderr: pipe::Receiver::from_owned_fd(child.stderr.take().ok_or_else(missing)?.into())?,
        running,
    })
}

fn spawn_error(program: &str, error: &io::Error) -> SpawnError {
    let program = program.to_owned();
    if error.kind() == io::ErrorKind::NotFound && !program.contains('/') {
        return SpawnError::NotInPath { program };
    }
    let text = error.to_string();
    let reason = text.split(" (os error").next().unwrap_or(&text).to_lowercase();
    SpawnError::Exec { program, reason }
}

impl Running {
    /// Waits for the leader's end; once.
    pub async fn exited(&mut self) -> Exit {
        std::future::poll_fn(|context| self.poll_exited(context)).await
    }

    pub fn poll_exited(&mut self, context: &mut Context<'_>) -> Poll<Exit> {
        let Some(exit) = &mut self.exit else { return Poll::Ready(Exit::Unknown) };
        let exit = std::task::ready!(std::pin::Pin::new(exit).poll(context)).unwrap_or(Exit::Unknown);
        self.exit = None;
        Poll::Ready(exit)
    }

    /// Nothing of this group is to be ended: it left by itself and its output is whole.
    pub fn settle(mut self) {
        self.settled = true;
    }

    /// Ends the group and returns when that is done: SIGTERM, then after `patience` SIGKILL.
    pub async fn stop(mut self, patience: Duration) {
        self.settled = true;
        // Errors of kill mean that the group is gone, which is what is wanted.
        if kill_process_group(self.group, Signal::TERM).is_ok() {
            see_off(self.group, self.exit.take(), patience).await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.settled || kill_process_group(self.group, Signal::TERM).is_err() {
            return;
        }
        let (group, exit, slot) = (self.group, self.exit.take(), self.slot.take());
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                see_off(group, exit, KILL_DELAY).await;
                drop(slot);
            });
        } else {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// After SIGTERM: what has not left in time is killed.
async fn see_off(group: Pid, exit: Option<oneshot::Receiver<Exit>>, patience: Duration) {
    let deadline = Instant::now() + patience;
    if let Some(exit) = exit
        && timeout_at(deadline, exit).await.is_ok()
        && test_kill_process_group(group).is_err()
    {
        return;
    }
    sleep_until(deadline).await;
    let _ = kill_process_group(group, Signal::KILL);
}
