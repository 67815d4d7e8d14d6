//! What a container is from the inside and what it leaves on the outside.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use provider_oci::container::{ContainerSpec, Exit, Limits};
use provider_oci::launcher::{Container, Launcher, LauncherConfig};
use tokio::io::AsyncReadExt;

use crate::harness::Test;

pub const TESTS: &[Test] = &[("container::it_runs_and_reports_its_exit", it_runs_and_reports_its_exit)];

/// A launcher over a temporary folder, and an image of busybox.
pub struct Host {
    folder: tempfile::TempDir,
    pub launcher: Launcher,
    #[allow(dead_code)]
    pub cgroup: String,
}

impl Host {
    pub async fn new() -> Host {
        let folder = tempfile::tempdir().unwrap();
        let name = folder.path().file_name().unwrap().to_string_lossy().to_lowercase();
        let cgroup = format!("minke-test{}", name.replace(|c: char| !c.is_ascii_alphanumeric(), "-"));
        busybox_layer(&folder.path().join("layer"));
        let launcher = Launcher::connect(&config(folder.path(), &cgroup)).await.unwrap();
        Host { folder, launcher, cgroup }
    }

    pub fn spec(&self, id: &str, script: &str) -> ContainerSpec {
        ContainerSpec {
            id: id.to_owned(),
            layers: vec![self.folder.path().join("layer")],
            args: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
            env: Vec::new(),
            cwd: "/".to_owned(),
            user: String::new(),
            hostname: "test".to_owned(),
            read_only: false,
            limits: Limits::default(),
        }
    }

    pub async fn start(&self, spec: &ContainerSpec) -> (Container, Output) {
        let (out, out_write) = pipe();
        let (err, err_write) = pipe();
        let container = self.launcher.run(spec, out_write, err_write).await.unwrap();
        (container, Output { out, err })
    }

    /// Runs to the end: how it ended, and what it wrote.
    pub async fn run(&self, spec: &ContainerSpec) -> (Exit, String) {
        let (container, output) = self.start(spec).await;
        let text = output.read().await;
        (container.removed().await, text)
    }
}

pub struct Output {
    out: tokio::net::unix::pipe::Receiver,
    err: tokio::net::unix::pipe::Receiver,
}

impl Output {
    /// Waits until the container has written something: that its script is under way.
    pub async fn begun(&mut self) {
        let mut byte = [0];
        self.out.read_exact(&mut byte).await.expect("the container writes");
    }

    pub async fn read(mut self) -> String {
        let (mut out, mut err) = (String::new(), String::new());
        let (a, b) = tokio::join!(self.out.read_to_string(&mut out), self.err.read_to_string(&mut err));
        a.unwrap();
        b.unwrap();
        out + &err
    }
}

pub fn config(folder: &Path, cgroup: &str) -> LauncherConfig {
    LauncherConfig { folder: folder.join("oci"), cgroup: cgroup.to_owned() }
}

pub fn busybox_layer(layer: &Path) {
    std::fs::create_dir_all(layer.join("bin")).unwrap();
    std::fs::create_dir_all(layer.join("etc")).unwrap();
    std::fs::copy("/bin/busybox", layer.join("bin/busybox")).expect("busybox-static is installed");
    let applets = std::process::Command::new("/bin/busybox").arg("--list").output().unwrap();
    for applet in String::from_utf8(applets.stdout).unwrap().lines().filter(|a| *a != "busybox") {
        std::os::unix::fs::symlink("busybox", layer.join("bin").join(applet)).unwrap();
    }
    std::fs::write(
        layer.join("etc/passwd"),
        "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n",
    )
    .unwrap();
    std::fs::write(layer.join("etc/group"), "root:x:0:\napp:x:1000:\nwheel:x:10:app\n").unwrap();
}

pub fn pipe() -> (tokio::net::unix::pipe::Receiver, OwnedFd) {
    let (read, write) = std::io::pipe().unwrap();
    (tokio::net::unix::pipe::Receiver::from_owned_fd(read.into()).unwrap(), write.into())
}

pub fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(60), future).await.expect("within a minute")
    })
}

fn it_runs_and_reports_its_exit() {
    block_on(async {
        let host = Host::new().await;
        let (exit, text) = host.run(&host.spec("a", "echo hello; echo oops >&2; exit 7")).await;
        assert_eq!((exit, text.as_str()), (Exit::Code(7), "hello\noops\n"));
        let (container, mut output) =
            host.start(&host.spec("b", "trap 'exit 3' TERM; echo; while :; do sleep 0.05; done")).await;
        output.begun().await;
        assert_eq!(container.stop(Duration::from_secs(10)).await, Exit::Code(3));
        let (container, _output) = host.start(&host.spec("c", "sleep 1000")).await;
        assert_eq!(container.stop(Duration::from_millis(100)).await, Exit::Signal(9));
    });
}

#[allow(dead_code)]
pub fn cgroup_folders(cgroup: &str) -> Vec<PathBuf> {
    let groups =
        std::fs::read_dir("/sys/fs/cgroup").unwrap().flatten().map(|entry| entry.path().join(cgroup));
    groups.chain([Path::new("/sys/fs/cgroup").join(cgroup)]).filter(|path| path.exists()).collect()
}
