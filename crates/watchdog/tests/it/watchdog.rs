//! Starts fwatchdog with an environment of its own and cleans up after it.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Far above what any step takes; reaching it is a failure, not a wait.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct Watchdog {
    pub port: u16,
    pub folder: tempfile::TempDir,
    child: Child,
    lines: Lines,
}

#[derive(Clone, Default)]
struct Lines(Arc<(Mutex<Vec<String>>, Condvar)>);

impl Watchdog {
    /// With `port=0` and `TMPDIR` in a fresh folder; variables given here win.
    pub fn start(variables: &[(&str, &str)]) -> Self {
        Self::start_in(tempfile::tempdir().expect("folder"), variables)
    }

    pub fn start_in(folder: tempfile::TempDir, variables: &[(&str, &str)]) -> Self {
        let mut child = command(variables, &folder).spawn().expect("fwatchdog starts");
        let lines = Lines::default();
        lines.follow(child.stderr.take().expect("stderr"));
        lines.follow(child.stdout.take().expect("stdout"));
        let line = lines.wait("Listening on port: ");
        let port = line.rsplit(' ').next().and_then(|port| port.parse().ok()).expect("port");
        Self { port, folder, child, lines }
    }

    /// Runs a shell script as the function.
    pub fn script(text: &str, variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("function.sh");
        std::fs::write(&path, text).expect("script");
        let line = format!("sh {}", path.display());
        let variables: Vec<_> = [("fprocess", line.as_str())].iter().chain(variables).copied().collect();
        Self::start_in(folder, &variables)
    }

    pub fn lock(&self) -> PathBuf {
        self.folder.path().join(".lock")
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("signal");
    }

    pub fn wait_line(&self, text: &str) -> String {
        self.lines.wait(text)
    }

    pub fn lines(&self) -> Vec<String> {
        self.lines.0.0.lock().expect("lines").clone()
    }

    pub fn wait_exit(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("fwatchdog exits", || {
            status = self.child.try_wait().expect("wait");
            status.is_some()
        });
        status.expect("status")
    }

    pub fn wait_healthy(&self) {
        eventually("the function is healthy", || self.get("/_/health").status == 200);
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        // Its orderly way out ends the function too.
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            for _ in 0..2 {
                let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
            }
            let deadline = Instant::now() + Duration::from_secs(3);
            while self.child.try_wait().is_ok_and(|status| status.is_none()) && Instant::now() < deadline {
                thread::yield_now();
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("fwatchdog said:\n{}", self.lines().join("\n"));
        }
    }
}

impl Lines {
    fn follow(&self, pipe: impl Read + Send + 'static) {
        let lines = self.clone();
        thread::spawn(move || {
            for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
                lines.0.0.lock().expect("lines").push(String::from_utf8_lossy(&line).into_owned());
                lines.0.1.notify_all();
            }
        });
    }

    fn wait(&self, text: &str) -> String {
        let found = |lines: &Vec<String>| lines.iter().find(|line| line.contains(text)).cloned();
        let lines = self.0.0.lock().expect("lines");
        let (lines, _) =
            self.0.1.wait_timeout_while(lines, PATIENCE, |lines| found(lines).is_none()).expect("lines");
        found(&lines).unwrap_or_else(|| panic!("no line with {text:?} in {lines:#?}"))
    }
}

/// A run that is expected to end by itself: exit code, stdout, stderr.
pub fn run(variables: &[(&str, &str)], arguments: &[&str]) -> (i32, String, String) {
    let folder = tempfile::tempdir().expect("folder");
    let output = command(variables, &folder).args(arguments).output().expect("fwatchdog runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (output.status.code().expect("exit code"), text(output.stdout), text(output.stderr))
}

fn command(variables: &[(&str, &str)], folder: &tempfile::TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fwatchdog"));
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("TMPDIR", folder.path())
        .env("port", "0")
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Looks again until it is so, or fails with what was hoped for.
pub fn eventually(hope: &str, mut check: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !check() {
        assert!(Instant::now() < deadline, "never seen: {hope}");
        thread::sleep(Duration::from_millis(2));
    }
}

pub fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z'))
}
