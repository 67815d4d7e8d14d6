//! What a hostile image or function tries to reach from its container: the host's files, and the limits on itself.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::task::Poll;
use std::time::Duration;

use provider_oci::container::{ContainerSpec, Exit};
use provider_oci::launcher::Launcher;
use rustix::fs::{SealFlags, StatVfsMountFlags};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, setrlimit};

use crate::harness::Test;
use crate::support::{Host, block_on, cgroups, children, cmdline, config, launcher_pid, until};

pub const TESTS: &[Test] = &[
    ("escape::mount_points_that_are_links_are_refused", mount_points_that_are_links_are_refused),
    ("escape::namespaces_and_mounts_are_refused", namespaces_and_mounts_are_refused),
    ("escape::cgroups_below_a_container_go_with_it", cgroups_below_a_container_go_with_it),
    ("escape::want_of_descriptors_fails_one_container_alone", want_of_descriptors_fails_one_container_alone),
    (
        "escape::containers_come_from_an_executable_that_is_read_only",
        containers_come_from_an_executable_that_is_read_only,
    ),
    ("escape::a_launcher_that_cannot_work_is_reaped", a_launcher_that_cannot_work_is_reaped),
];

fn mount_points_that_are_links_are_refused() {
    block_on(async {
        let host = Host::new().await;
        let outside = host.folder.path().join("outside");
        std::fs::create_dir(&outside).unwrap();
        // libcontainer replaces it where it works.
        std::fs::write(outside.join("ptmx"), "the host's").unwrap();
        let up = "../".repeat(40);
        for (index, name) in ["dev", "proc", "sys"].into_iter().enumerate() {
            for (kind, target) in [
                ("absolute", outside.clone()),
                ("relative", Path::new(&up).join(outside.strip_prefix("/").unwrap())),
            ] {
                let evil = host.folder.path().join(format!("{name}-{kind}"));
                std::fs::create_dir(&evil).unwrap();
                symlink(target, evil.join(name)).unwrap();
                let mut spec = host.spec(&format!("{kind}{index}"), "true");
                spec.layers.push(evil);
                let error = host.try_start(&spec).await.map(drop).expect_err(name).to_string();
                assert!(error.contains(&format!("image's /{name} is not a directory")), "{error}");
            }
        }
        let file = host.folder.path().join("file");
        std::fs::create_dir(&file).unwrap();
        std::fs::write(file.join("dev"), "").unwrap();
        let mut spec = host.spec("file", "true");
        spec.layers.push(file);
        let error = host.try_start(&spec).await.map(drop).expect_err("a file").to_string();
        assert!(error.contains("image's /dev is not a directory"), "{error}");
        let found: Vec<_> =
            std::fs::read_dir(&outside).unwrap().flatten().map(|entry| entry.file_name()).collect();
        assert_eq!(found, ["ptmx"]);
        assert_eq!(std::fs::read_to_string(outside.join("ptmx")).unwrap(), "the host's");
        // A working directory that leads through a link to where a mount goes.
        let deep = host.folder.path().join("deep");
        std::fs::create_dir(&deep).unwrap();
        symlink("/proc/self/root", deep.join("work")).unwrap();
        let mut spec = ContainerSpec { cwd: "/work/made".into(), ..host.spec("deep", "pwd") };
        spec.layers.push(deep);
        if let Ok((container, output)) = host.try_start(&spec).await {
            output.read().await;
            container.removed().await;
        }
        assert!(!Path::new("/made").exists());
    });
}

fn namespaces_and_mounts_are_refused() {
    block_on(async {
        let host = Host::new().await;
        let probes = [
            ("user", "unshare -U true"),
            ("user and mount", "unshare -Um true"),
            ("network", "unshare -n true"),
            ("mount", "mount -t tmpfs x /tmp"),
            ("umount", "umount /proc"),
            ("log", "dmesg"),
        ];
        let script: String =
            probes.iter().map(|(name, probe)| format!("{probe} 2>&1 && echo got: {name}; ")).collect();
        let script = format!("mkdir -p /tmp; {script} grep Seccomp: /proc/self/status; (echo forked) | cat");
        for (id, user) in [("root", ""), ("app", "app")] {
            let spec = ContainerSpec { user: user.to_owned(), ..host.spec(id, &script) };
            let (exit, text) = host.run(&spec).await;
            assert_eq!(exit, Exit::Code(0), "{text}");
            assert!(!text.contains("got: "), "{text}");
            assert!(text.contains("Seccomp:\t2") && text.contains("forked"), "{text}");
        }
        host.launcher.close().await;
        assert!(cgroups(&host.cgroup).is_empty());
    });
}

fn cgroups_below_a_container_go_with_it() {
    block_on(async {
        let host = Host::new().await;
        let (container, mut output) = host.start(&host.spec("a", "echo; sleep 1000")).await;
        output.begun().await;
        let of_container: Vec<_> =
            cgroups(&host.cgroup).into_iter().filter(|path| path.ends_with("a")).collect();
        assert!(!of_container.is_empty());
        for path in &of_container {
            let made = std::fs::create_dir_all(path.join("leak/deep/deeper"));
            let made = made.and_then(|()| std::fs::create_dir(path.join("leak/side")));
            // On v2 it cannot even be made.
            assert_eq!(made.is_err(), path.join("cgroup.max.descendants").exists(), "{path:?}: {made:?}");
        }
        container.stop(Duration::ZERO).await;
        assert!(of_container.iter().all(|path| !path.exists()), "{of_container:?}");
        host.launcher.close().await;
        assert!(cgroups(&host.cgroup).is_empty());
    });
}

fn want_of_descriptors_fails_one_container_alone() {
    block_on(async {
        let host = Host::new().await;
        let (kept, mut output) = host.start(&host.spec("kept", "echo; sleep 1000")).await;
        output.begun().await;
        let spec = host.spec("failed", "sleep 1000");
        let mut start = Box::pin(host.try_start(&spec));
        // The request goes out, and only then is there no room for what comes back.
        let launcher = Pid::from_raw(launcher_pid()).unwrap();
        rustix::process::kill_process(launcher, Signal::STOP).unwrap();
        let pending = std::future::poll_fn(|context| Poll::Ready(start.as_mut().poll(context).is_pending()));
        assert!(pending.await);
        let before = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: Some(3), ..before }).unwrap();
        rustix::process::kill_process(launcher, Signal::CONT).unwrap();
        let outcome = start.await.map(drop);
        setrlimit(Resource::Nofile, before).unwrap();
        let error = outcome.expect_err("no room").to_string();
        assert!(error.contains("too many files are open"), "{error}");
        let left = || cgroups(&host.cgroup).iter().any(|path| path.ends_with("failed"));
        until("what started is removed", || !left());
        assert!(!host.launcher.is_gone());
        assert_eq!(host.run(&host.spec("after", "echo up")).await.1, "up\n");
        assert_eq!(kept.stop(Duration::ZERO).await, Exit::Signal(9));
    });
}

/// What a container's first process runs until it becomes the image's command.
fn containers_come_from_an_executable_that_is_read_only() {
    block_on(async {
        let _host = Host::new().await;
        let executable = std::fs::File::open(format!("/proc/{}/exe", launcher_pid())).unwrap();
        let on_read_only_mount =
            rustix::fs::fstatvfs(&executable).unwrap().f_flag.contains(StatVfsMountFlags::RDONLY);
        let is_sealed =
            rustix::fs::fcntl_get_seals(&executable).is_ok_and(|seals| seals.contains(SealFlags::WRITE));
        assert!(on_read_only_mount || is_sealed);
    });
}

fn a_launcher_that_cannot_work_is_reaped() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("containers"), "in the way").unwrap();
        let error = Launcher::connect(&config(folder.path())).await.map(drop).expect_err("a file");
        assert!(error.to_string().contains("failed to create"), "{error}");
        // A process that nobody waited for is still a child, without a command line.
        until("the launcher is reaped", || {
            children(std::process::id()).into_iter().all(|pid| !cmdline(pid).is_empty())
        });
    });
}
