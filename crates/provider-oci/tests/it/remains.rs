//! Fifty lives leave the host as it was; how long one takes is printed.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::harness::Test;
use crate::support::{Host, block_on, cgroups, children, launcher_pid};

pub const TESTS: &[Test] = &[
    ("remains::fifty_lives_leave_nothing", fifty_lives_leave_nothing),
    ("remains::a_launcher_that_is_told_to_end_leaves_nothing", a_launcher_that_is_told_to_end_leaves_nothing),
];

#[derive(Debug, PartialEq, Eq)]
struct Counts {
    our_descriptors: usize,
    launcher_descriptors: usize,
    launcher_children: usize,
    cgroups: usize,
    host_mounts: usize,
    network_namespaces: usize,
    folders: usize,
}

fn counts(host: &Host) -> Counts {
    let count = |path: String| std::fs::read_dir(path).map_or(0, Iterator::count);
    let launcher = launcher_pid();
    // Those of the host are not counted: others may use containers too. One lives by a process or a descriptor.
    let holders = [std::process::id().cast_signed(), launcher];
    let links =
        holders.into_iter().flat_map(|pid| std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten());
    let links = links.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    let networks: BTreeSet<_> = links.filter(|link| link.to_string_lossy().starts_with("net:[")).collect();
    let containers = host.folder.path().join("containers");
    Counts {
        our_descriptors: count("/proc/self/fd".to_owned()),
        launcher_descriptors: count(format!("/proc/{launcher}/fd")),
        launcher_children: children(launcher.unsigned_abs()).len(),
        cgroups: cgroups(&host.cgroup).len(),
        host_mounts: std::fs::read_to_string("/proc/self/mountinfo").unwrap().lines().count(),
        network_namespaces: networks.len(),
        folders: count(containers.join("replicas").display().to_string())
            + count(format!("/proc/{launcher}/root{}/run", containers.display()))
            + count(format!("/proc/{launcher}/root{}/run/state", containers.display())),
    }
}

fn fifty_lives_leave_nothing() {
    block_on(async {
        let host = Host::new().await;
        let script = "mkdir -p /a/b && echo x > /a/b/c; sleep 100 & trap 'exit 0' TERM; echo; wait";
        let (mut created, mut removed) = (Vec::new(), Vec::new());
        let mut before = None;
        for round in 0..51 {
            let begun = Instant::now();
            let (container, mut output) = host.start(&host.spec(&format!("r{round}"), script)).await;
            created.push(begun.elapsed());
            output.begun().await;
            let begun = Instant::now();
            container.stop(Duration::from_secs(20)).await;
            removed.push(begun.elapsed());
            drop((container, output));
            // After the first, so that what is opened once and kept is not counted.
            before.get_or_insert_with(|| counts(&host));
        }
        assert_eq!(counts(&host), before.unwrap());
        println!("create + start {:?}, stop + remove {:?} (medians of 51)", median(created), median(removed));
    });
}

fn a_launcher_that_is_told_to_end_leaves_nothing() {
    block_on(async {
        let host = Host::new().await;
        let launcher = launcher_pid();
        let (container, mut output) = host.start(&host.spec("a", "echo; sleep 1000")).await;
        output.begun().await;
        host.launcher.close().await;
        container.removed().await;
        assert!(cgroups(&host.cgroup).is_empty());
        assert!(std::fs::read_dir(host.folder.path().join("containers/replicas")).unwrap().next().is_none());
        crate::support::until("the launcher is gone", || !crate::support::is_alive(launcher));
        assert!(!crate::support::is_alive(container.pid()));
    });
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
