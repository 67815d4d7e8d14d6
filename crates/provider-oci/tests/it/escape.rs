//! What a hostile image or function tries to reach from its container: the host's files, and the limits on itself.

use std::os::unix::fs::symlink;
use std::path::Path;

use provider_oci::container::{ContainerSpec, Exit};

use crate::harness::Test;
use crate::support::{Host, block_on, cgroups};

pub const TESTS: &[Test] = &[
    ("escape::mount_points_that_are_links_are_refused", mount_points_that_are_links_are_refused),
    ("escape::namespaces_and_mounts_are_refused", namespaces_and_mounts_are_refused),
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
                ("relative", Path::new(&up).join(&outside.strip_prefix("/").unwrap())),
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
