//! What a container may not use more of.

use provider_oci::container::{ContainerSpec, Exit, Limits};

use crate::harness::Test;
use crate::support::{Host, block_on, cgroup_file};

pub const TESTS: &[Test] = &[
    ("limits::memory_is_bounded", memory_is_bounded),
    ("limits::processes_are_bounded", processes_are_bounded),
    ("limits::cpu_is_bounded", cpu_is_bounded),
];

fn memory_is_bounded() {
    block_on(async {
        let host = Host::new().await;
        let limits = Limits { memory_bytes: Some(32 << 20), ..Limits::default() };
        // dd takes a buffer of the block's size.
        let spec = |id: &str, block: &str| {
            let script = format!("exec dd if=/dev/zero of=/dev/null bs={block} count=1 2>/dev/null");
            ContainerSpec { limits, ..host.spec(id, &script) }
        };
        assert_eq!(host.run(&spec("a", "8M")).await.0, Exit::Code(0));
        assert_eq!(host.run(&spec("b", "128M")).await.0, Exit::OutOfMemory);
        // The least that is allowed is enough to start in.
        let limits = Limits { memory_bytes: Some(6 << 20), ..Limits::default() };
        let least = ContainerSpec { limits, ..host.spec("c", "echo up") };
        assert_eq!(host.run(&least).await, (Exit::Code(0), "up\n".to_owned()));
    });
}

fn processes_are_bounded() {
    block_on(async {
        let host = Host::new().await;
        let limits = Limits { pids_max: 5, ..Limits::default() };
        let script = "for n in 1 2 3 4 5 6 7 8 9; do sleep 30 & done; echo unbounded";
        let (_, text) = host.run(&ContainerSpec { limits, ..host.spec("a", script) }).await;
        assert!(text.contains("can't fork") && !text.contains("unbounded"), "{text}");
    });
}

fn cpu_is_bounded() {
    block_on(async {
        let host = Host::new().await;
        let limits = Limits { cpu_millis: Some(250), ..Limits::default() };
        let (container, mut output) =
            host.start(&ContainerSpec { limits, ..host.spec("a", "echo; sleep 1000") }).await;
        output.begun().await;
        let quota = cgroup_file(&host.cgroup, "a", &["cpu.cfs_quota_us", "cpu.max"]);
        assert!(quota == "25000" || quota == "25000 100000", "{quota}");
        container.stop(std::time::Duration::ZERO).await;
    });
}
