//! `minke up` as a process of its own, and what a test needs around it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use http::{Request, Response};
use http_body_util::BodyExt;
use model::{FunctionId, FunctionName, FunctionSpec, ImageRef, Namespace};
use provider::{Body, Call, CallId, Credentials, Invoke, Provider, Remote, RemoteConfig};

pub const MINKE: &str = env!("CARGO_BIN_EXE_minke");
/// A debug build on a busy machine; nobody waits this long when all is well.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Platform {
    pub address: String,
    metrics: String,
    child: Child,
    data_dir: PathBuf,
}

impl Platform {
    pub fn start(data_dir: &Path) -> Self {
        Self::start_with(data_dir, &[])
    }

    pub fn start_with(data_dir: &Path, more: &[&str]) -> Self {
        Self::start_as(data_dir, more, &[])
    }

    /// Waits for the line that scripts wait for.
    pub fn start_as(data_dir: &Path, more: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = minke(data_dir, &["up", "--metrics-listen", "127.0.0.1:0"]);
        if !more.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        let log =
            std::fs::File::options().create(true).append(true).open(data_dir.with_extension("log")).unwrap();
        command.args(more).envs(variables.iter().copied()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (mut address, mut metrics) = (None, None);
        while metrics.is_none() {
            let Some(line) = lines.next() else {
                let log = std::fs::read_to_string(data_dir.with_extension("log")).unwrap_or_default();
                panic!("minke ended before it was ready: {:?}\n{log}", child.wait());
            };
            let line = line.unwrap();
            address = address.or(line.strip_prefix("minke is ready on http://").map(str::to_owned));
            metrics = line.trim().strip_prefix("metrics").map(|rest| rest.trim().to_owned());
        }
        // What else it prints must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self { address: address.unwrap(), metrics: metrics.unwrap(), child, data_dir: data_dir.to_owned() }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn metrics_url(&self) -> String {
        self.metrics.clone()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn password(&self) -> String {
        std::fs::read_to_string(self.data_dir.join("auth/basic-auth-password")).unwrap().trim().to_owned()
    }

    pub fn client(&self) -> Remote {
        let credentials = Credentials::Basic { user: "admin".into(), password: self.password() };
        let config = RemoteConfig { credentials: Some(credentials), ..RemoteConfig::new(self.url()) };
        Remote::new(config).unwrap()
    }

    /// Of a platform that was started with `--no-auth`.
    pub fn client_without_auth(&self) -> Remote {
        Remote::new(RemoteConfig::new(self.url())).unwrap()
    }

    /// Ctrl-C, and what it came to.
    pub fn stop(self) -> std::process::ExitStatus {
        self.end(rustix::process::Signal::INT)
    }

    /// As a service manager stops it.
    pub fn terminate(self) -> std::process::ExitStatus {
        self.end(rustix::process::Signal::TERM)
    }

    fn end(mut self, signal: rustix::process::Signal) -> std::process::ExitStatus {
        rustix::process::kill_process(self.rustix_pid(), signal).unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "minke did not stop within {PATIENCE:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn rustix_pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_raw(self.child.id() as i32).unwrap()
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn minke(data_dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(MINKE);
    // What is set for this test's own run is not for the platform.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MINKE_")) {
        command.env_remove(name);
    }
    command
        .args(args)
        .env("MINKE_DATA_DIR", data_dir)
        .env("HOME", data_dir)
        .env_remove("CI")
        .stdin(Stdio::null());
    command
}

/// Output of a command that must succeed.
pub fn ok(output: Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{}\n--- stdout\n{out}\n--- stderr\n{err}", output.status);
    out
}

/// Builds the image of a sample into the platform's store, as a user would.
pub fn build_sample(data_dir: &Path, name: &str) -> ImageRef {
    let folder = root().join("examples").join(name);
    assert!(folder.join(name).exists(), "examples/{name}/{name} is not built; run `make examples` first");
    let stack = folder.join("stack.yaml");
    let output =
        minke(data_dir, &["build", "-f", stack.to_str().unwrap()]).current_dir(&folder).output().unwrap();
    ok(output);
    ImageRef::parse(&format!("minke/{name}:latest")).unwrap()
}

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

pub fn id(name: &str) -> FunctionId {
    FunctionId::new(FunctionName::parse(name).unwrap(), Namespace::default())
}

pub async fn deploy(client: &Remote, name: &str, image: &ImageRef) -> FunctionId {
    client.deploy(FunctionSpec::new(id(name), image.clone())).await.unwrap();
    until_available(client, &id(name), 1).await;
    id(name)
}

pub async fn until_available(client: &Remote, id: &FunctionId, count: u32) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let status = client.get(id).await.unwrap();
        if status.available == count {
            return;
        }
        assert!(Instant::now() < deadline, "{id} did not reach {count} replicas: {status:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub async fn call(client: &Remote, id: &FunctionId, target: &str, body: Body) -> Response<String> {
    let request = Request::post(target).body(body).unwrap();
    let call = Call { function: id.clone(), call_id: CallId::random(), request };
    let (head, body) = client.invoke(call).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Response::from_parts(head, String::from_utf8_lossy(&body).into_owned())
}

/// A folder that is removed when all that used it is gone; short, because mount options are.
pub fn data_dir() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("mk").tempdir().unwrap()
}

/// Reads what a URL answers, without a client of ours.
pub fn curl(args: &[&str]) -> String {
    let output = Command::new("curl").args(["-sS", "--max-time", "30"]).args(args).output().unwrap();
    ok(output)
}
