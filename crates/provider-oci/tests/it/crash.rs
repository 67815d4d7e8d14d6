//! SIGKILL of the platform, of the launcher, of both.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use provider_oci::container::Exit;
use provider_oci::launcher::Launcher;

use crate::harness::Test;
use crate::support::{
    Host, block_on, busybox_layer, cgroups, children, config, is_alive, kill, launcher_pid, spec, start,
    until,
};

pub const TESTS: &[Test] = &[
    ("crash::the_launcher_cleans_up_after_a_killed_platform", the_launcher_cleans_up_after_a_killed_platform),
    (
        "crash::the_next_launcher_cleans_up_after_both_are_killed",
        the_next_launcher_cleans_up_after_both_are_killed,
    ),
    ("crash::containers_end_with_a_killed_launcher", containers_end_with_a_killed_launcher),
];

const PLATFORM: &str = "platform-process";

/// Starts two containers, tells their pids, and waits to be killed.
pub fn main_if_platform() -> bool {
    let mut args = std::env::args().skip(1);
    if args.next().as_deref() != Some(PLATFORM) {
        return false;
    }
    let folder = args.next().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let launcher = Launcher::connect(&config(Path::new(&folder))).await.unwrap();
        let mut kept = Vec::new();
        for id in ["a", "b"] {
            let spec = spec(Path::new(&folder), id, "echo x > /written; sleep 1000 & echo; wait");
            let (container, mut output) = start(&launcher, &spec).await.unwrap();
            output.begun().await;
            println!("{}", container.pid());
            kept.push((container, output));
        }
        println!("up");
        std::future::pending::<()>().await;
    });
    true
}

struct Platform {
    folder: tempfile::TempDir,
    child: Child,
    launcher: i32,
    containers: Vec<i32>,
}

impl Platform {
    fn start() -> Platform {
        let folder = tempfile::tempdir().unwrap();
        busybox_layer(&folder.path().join("layer"));
        let mut command = Command::new("/proc/self/exe");
        let mut child = command.arg(PLATFORM).arg(folder.path()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let containers: Vec<i32> =
            lines.take_while(|line| line != "up").map(|line| line.parse().unwrap()).collect();
        assert_eq!(containers.len(), 2);
        let launcher = children(child.id())[0];
        Platform { folder, child, launcher, containers }
    }

    fn cgroups(&self) -> usize {
        cgroups(&config(self.folder.path()).cgroup).len()
    }

    fn replicas(&self) -> usize {
        std::fs::read_dir(self.folder.path().join("containers/replicas")).unwrap().count()
    }
}

fn the_launcher_cleans_up_after_a_killed_platform() {
    let mut platform = Platform::start();
    assert!(platform.cgroups() > 0 && platform.replicas() == 2);
    platform.child.kill().unwrap();
    platform.child.wait().unwrap();
    until("the launcher is gone", || !is_alive(platform.launcher));
    assert!(platform.containers.iter().all(|pid| !is_alive(*pid)));
    assert_eq!((platform.cgroups(), platform.replicas()), (0, 0));
}

fn the_next_launcher_cleans_up_after_both_are_killed() {
    let mut platform = Platform::start();
    kill(platform.launcher);
    platform.child.kill().unwrap();
    platform.child.wait().unwrap();
    until("the containers are gone", || platform.containers.iter().all(|pid| !is_alive(*pid)));
    block_on(async {
        let launcher = Launcher::connect(&config(platform.folder.path())).await.unwrap();
        assert_eq!(platform.replicas(), 0);
        // The same ids are free.
        let (container, output) =
            start(&launcher, &spec(platform.folder.path(), "a", "echo again")).await.unwrap();
        assert_eq!(output.read().await, "again\n");
        container.removed().await;
        launcher.close().await;
    });
    assert_eq!((platform.cgroups(), platform.replicas()), (0, 0));
}

fn containers_end_with_a_killed_launcher() {
    block_on(async {
        let host = Host::new().await;
        let (container, mut output) = host.start(&host.spec("a", "echo; sleep 1000")).await;
        output.begun().await;
        kill(launcher_pid());
        assert_eq!(container.exited().await, Exit::Lost);
        host.launcher.gone().await;
        until("the container is gone", || !is_alive(container.pid()));
        assert!(host.try_start(&host.spec("b", "true")).await.is_err());
        let next = Launcher::connect(&config(host.folder.path())).await.unwrap();
        let (container, output) = start(&next, &host.spec("a", "echo again")).await.unwrap();
        assert_eq!(output.read().await, "again\n");
        container.removed().await;
        next.close().await;
        assert!(cgroups(&host.cgroup).is_empty());
    });
}
