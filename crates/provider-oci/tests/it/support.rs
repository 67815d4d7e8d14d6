//! A launcher, an image of busybox, and what to ask them.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use provider_oci::container::{ContainerSpec, Exit, Limits, SecretFile};
use provider_oci::launcher::{Container, Launcher, LauncherConfig, LauncherError};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;

/// A launcher over a temporary folder.
pub struct Host {
    pub folder: tempfile::TempDir,
    pub launcher: Launcher,
    pub cgroup: String,
}

pub struct Output {
    out: Receiver,
    err: Receiver,
}

impl Host {
    pub async fn new() -> Host {
        let folder = tempfile::tempdir().unwrap();
        let cgroup = cgroup_name(folder.path());
        busybox_layer(&folder.path().join("layer"));
        let launcher = Launcher::connect(&config(folder.path())).await.unwrap();
        Host { folder, launcher, cgroup }
    }

    pub fn layer(&self) -> PathBuf {
        self.folder.path().join("layer")
    }

    /// A shell script in the image of busybox.
    pub fn spec(&self, id: &str, script: &str) -> ContainerSpec {
        spec(self.folder.path(), id, script)
    }

    pub async fn try_start(&self, spec: &ContainerSpec) -> Result<(Container, Output), LauncherError> {
        start(&self.launcher, spec).await
    }

    pub async fn start(&self, spec: &ContainerSpec) -> (Container, Output) {
        self.try_start(spec).await.unwrap()
    }

    /// Runs to the end: how it ended, and what it wrote.
    pub async fn run(&self, spec: &ContainerSpec) -> (Exit, String) {
        let (container, output) = self.start(spec).await;
        let text = output.read().await;
        (container.removed().await, text)
    }
}

impl Output {
    /// Waits until the container has written a byte: its script is under way.
    pub async fn begun(&mut self) {
        self.out.read_exact(&mut [0]).await.expect("the container writes");
    }

    /// Everything, to the end.
    pub async fn read(mut self) -> String {
        let (mut out, mut err) = (String::new(), String::new());
        let (a, b) = tokio::join!(self.out.read_to_string(&mut out), self.err.read_to_string(&mut err));
        a.unwrap();
        b.unwrap();
        out + &err
    }
}

pub async fn start(launcher: &Launcher, spec: &ContainerSpec) -> Result<(Container, Output), LauncherError> {
    let (out, out_write) = pipe();
    let (err, err_write) = pipe();
    Ok((launcher.run(spec, None, out_write, err_write).await?, Output { out, err }))
}

/// With secrets, whose values lie in memory one after another.
pub async fn start_with(
    launcher: &Launcher,
    mut spec: ContainerSpec,
    secrets: &[(&str, &[u8])],
) -> Result<(Container, Output), LauncherError> {
    let file = |(name, value): &(&str, &[u8])| SecretFile { name: (*name).into(), bytes: value.len() as u64 };
    spec.secrets = secrets.iter().map(file).collect();
    let content = rustix::fs::memfd_create("secrets", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    let mut content = std::fs::File::from(content);
    secrets.iter().for_each(|(_, value)| content.write_all(value).unwrap());
    let (out, out_write) = pipe();
    let (err, err_write) = pipe();
    Ok((launcher.run(&spec, Some(content.into()), out_write, err_write).await?, Output { out, err }))
}

pub fn spec(folder: &Path, id: &str, script: &str) -> ContainerSpec {
    ContainerSpec {
        id: id.to_owned(),
        layers: vec![folder.join("layer")],
        args: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
        env: Vec::new(),
        cwd: "/".to_owned(),
        user: String::new(),
        hostname: "test".to_owned(),
        read_only: false,
        secrets: Vec::new(),
        limits: Limits::default(),
    }
}

pub fn config(folder: &Path) -> LauncherConfig {
    LauncherConfig { folder: folder.join("containers"), cgroup: cgroup_name(folder) }
}

fn cgroup_name(folder: &Path) -> String {
    let name = folder.file_name().unwrap().to_string_lossy().into_owned();
    format!("minke-test{}", name.replace(|c: char| !c.is_ascii_alphanumeric(), "-"))
}

pub fn busybox_layer(layer: &Path) {
    for folder in ["bin", "etc", "home/app"] {
        std::fs::create_dir_all(layer.join(folder)).unwrap();
    }
    std::fs::copy("/bin/busybox", layer.join("bin/busybox")).expect("busybox-static is installed");
    let applets = std::process::Command::new("/bin/busybox").arg("--list").output().unwrap();
    for applet in String::from_utf8(applets.stdout).unwrap().lines().filter(|applet| *applet != "busybox") {
        std::os::unix::fs::symlink("busybox", layer.join("bin").join(applet)).unwrap();
    }
    let passwd = "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n";
    std::fs::write(layer.join("etc/passwd"), passwd).unwrap();
    std::fs::write(layer.join("etc/group"), "root:x:0:\napp:x:1000:\nwheel:x:10:app\n").unwrap();
}

fn pipe() -> (Receiver, OwnedFd) {
    let (read, write) = std::io::pipe().unwrap();
    (Receiver::from_owned_fd(read.into()).unwrap(), write.into())
}

pub fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(120), future).await.expect("in time") })
}

/// Polls for what nobody announces.
pub fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !reached() {
        assert!(begun.elapsed() < Duration::from_secs(20), "waited 20 s until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Every folder of this test in every cgroup hierarchy, and what is in it.
pub fn cgroups(cgroup: &str) -> Vec<PathBuf> {
    let root = Path::new("/sys/fs/cgroup");
    let hierarchies = std::fs::read_dir(root).unwrap().flatten().map(|entry| entry.path());
    let ours =
        hierarchies.chain([root.to_owned()]).map(|path| path.join(cgroup)).filter(|path| path.exists());
    let with_children = |path: PathBuf| {
        let children = std::fs::read_dir(&path).unwrap().flatten().map(|entry| entry.path());
        children.filter(|path| path.is_dir()).chain([path.clone()]).collect::<Vec<_>>()
    };
    ours.flat_map(with_children).collect()
}

pub fn cgroup_file(cgroup: &str, id: &str, names: &[&str]) -> String {
    let folders = cgroups(cgroup).into_iter().filter(|path| path.ends_with(id));
    let mut files = folders.flat_map(|folder| names.iter().map(move |name| folder.join(name)));
    let file = files.find(|file| file.exists()).expect("the controller is there");
    std::fs::read_to_string(file).unwrap().trim().to_owned()
}

/// The launcher that this process started.
pub fn launcher_pid() -> i32 {
    children(std::process::id()).into_iter().find(|pid| cmdline(*pid).starts_with("minke-launcher")).unwrap()
}

pub fn children(parent: u32) -> Vec<i32> {
    let pids = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
        after_name.split(' ').nth(1) == Some(&parent.to_string())
    })
    .collect()
}

pub fn cmdline(pid: i32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default()
}

pub fn is_alive(pid: i32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

pub fn kill(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}
