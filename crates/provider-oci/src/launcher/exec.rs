//! The last step inside a container: becoming the image's own command.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use libcontainer::oci_spec::runtime::{Process, Spec};
use libcontainer::workload::{Executor, ExecutorError, ExecutorSetEnvsError, ExecutorValidationError};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::Signal;

#[derive(Clone)]
pub struct Exec {
    /// A pidfd.
    pub launcher: Arc<OwnedFd>,
}

impl Executor for Exec {
    /// Runs in the container before it is told to start, so that a missing command is the deploy's error.
    fn validate(&self, spec: &Spec) -> Result<(), ExecutorValidationError> {
        let refuse = |text: String| ExecutorValidationError::ArgValidationError(text);
        // No container outlives the launcher, even one killed with SIGKILL.
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
            .map_err(|errno| refuse(format!("failed to set the parent death signal: {errno}")))?;
        // One that was killed before sends no signal any more.
        let mut launcher = [PollFd::new(&*self.launcher, PollFlags::IN)];
        if rustix::event::poll(&mut launcher, Some(&Timespec::default())) != Ok(0) {
            return Err(refuse("launcher is gone".to_owned()));
        }
        let process = spec.process().as_ref().ok_or_else(|| refuse("no process".to_owned()))?;
        find(process).map(drop).map_err(refuse)
    }

    /// The environment goes to the new image with exec; this process's own stays as it is.
    fn setup_envs(&self, _envs: HashMap<String, String>) -> Result<(), ExecutorSetEnvsError> {
        Ok(())
    }

    fn exec(&self, spec: &Spec) -> Result<(), ExecutorError> {
        let process = spec.process().as_ref().ok_or(ExecutorError::InvalidArg)?;
        let args = process.args().as_deref().unwrap_or_default();
        let program = find(process).map_err(ExecutorError::Other)?;
        if let Err(error) = super::seccomp::install() {
            eprintln!("{error}");
            return Err(ExecutorError::Other(error));
        }
        let error =
            Command::new(&program).arg0(&args[0]).args(&args[1..]).env_clear().envs(env(process)).exec();
        // Nobody else would tell: the launcher knows of the exit alone.
        eprintln!("failed to execute {}: {error}", program.display());
        Err(ExecutorError::Other(error.to_string()))
    }
}

fn env(process: &Process) -> impl Iterator<Item = (&str, &str)> {
    process.env().as_deref().unwrap_or_default().iter().filter_map(|pair| pair.split_once('='))
}

fn find(process: &Process) -> Result<PathBuf, String> {
    let name = process.args().as_deref().unwrap_or_default().first().ok_or("no command")?;
    if name.contains('/') {
        return is_executable(Path::new(name)).map(|()| PathBuf::from(name));
    }
    let path = env(process).find(|(key, _)| *key == "PATH").map_or("", |(_, value)| value);
    let mut candidates = path.split(':').filter(|dir| !dir.is_empty()).map(|dir| Path::new(dir).join(name));
    candidates
        .find(|candidate| is_executable(candidate).is_ok())
        .ok_or_else(|| format!("command {name:?} is not in the image's PATH {path:?}"))
}

fn is_executable(path: &Path) -> Result<(), String> {
    let metadata = path.metadata().map_err(|error| format!("command {path:?} cannot be run: {error}"))?;
    if !metadata.is_file() {
        return Err(format!("command {path:?} is not a file"));
    }
    if metadata.permissions().mode() & 0o111 == 0 {
        return Err(format!("command {path:?} is not executable, set its mode in the image"));
    }
    Ok(())
}
