//! Specs and images that are wrong, by accident or by intent: each is refused with its reason, nothing is left.

use std::os::unix::fs::symlink;

use provider_oci::container::{ContainerSpec, Exit, Limits};

use crate::harness::Test;
use crate::support::{Host, block_on, cgroups};

pub const TESTS: &[Test] = &[
    ("hostile::a_spec_that_cannot_be_is_refused", a_spec_that_cannot_be_is_refused),
    ("hostile::links_of_an_image_stay_within_it", links_of_an_image_stay_within_it),
];

fn a_spec_that_cannot_be_is_refused() {
    block_on(async {
        let host = Host::new().await;
        let good = || host.spec("x", "true");
        let env = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
        let args = |args: &[&str]| args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>();
        let long = "x".repeat(200 * 1024);
        let many = (0..40).map(|n| (format!("V{n}"), "x".repeat(100 * 1024))).collect();
        let limits = |memory_bytes, cpu_millis, pids_max| Limits { memory_bytes, cpu_millis, pids_max };
        let table: Vec<(ContainerSpec, &str)> = vec![
            (ContainerSpec { id: "../x".into(), ..good() }, "container id"),
            (ContainerSpec { id: "..".into(), ..good() }, "container id"),
            (ContainerSpec { id: String::new(), ..good() }, "container id"),
            (ContainerSpec { id: "a/b".into(), ..good() }, "container id"),
            (ContainerSpec { id: "x".repeat(200), ..good() }, "container id"),
            (ContainerSpec { layers: vec![], ..good() }, "0 layers"),
            (ContainerSpec { layers: vec!["/nowhere".into()], ..good() }, "failed to open /nowhere"),
            (ContainerSpec { args: vec![], ..good() }, "names no command"),
            (ContainerSpec { args: args(&[""]), ..good() }, "names no command"),
            (ContainerSpec { args: args(&["sh", "a\0b"]), ..good() }, "NUL"),
            (ContainerSpec { args: args(&["no-such-command"]), ..good() }, "not in the image's PATH"),
            (ContainerSpec { args: args(&["/bin/nothing"]), ..good() }, "cannot be run"),
            (ContainerSpec { args: args(&["/etc"]), ..good() }, "is not a file"),
            (ContainerSpec { args: args(&["/etc/passwd"]), ..good() }, "is not executable"),
            (ContainerSpec { env: env("A", "a\0b"), ..good() }, "NUL"),
            (ContainerSpec { env: env("", "x"), ..good() }, "environment variable name"),
            (ContainerSpec { env: env("A=B", "x"), ..good() }, "environment variable name"),
            (ContainerSpec { env: env("A", &long), ..good() }, "longer than 128 KiB"),
            (ContainerSpec { env: many, ..good() }, "larger than 1 MiB"),
            (ContainerSpec { cwd: "relative".into(), ..good() }, "working directory"),
            (ContainerSpec { cwd: "/a/../../b".into(), ..good() }, "working directory"),
            (ContainerSpec { cwd: "/etc/passwd/x".into(), ..good() }, "failed to"),
            (ContainerSpec { cwd: "/a\0".into(), ..good() }, "NUL"),
            (ContainerSpec { user: "nobody-here".into(), ..good() }, "/etc/passwd"),
            (ContainerSpec { user: "0:nogroup".into(), ..good() }, "/etc/group"),
            (ContainerSpec { user: "-1".into(), ..good() }, "/etc/passwd"),
            (ContainerSpec { hostname: "h".repeat(65), ..good() }, "hostname"),
            (ContainerSpec { hostname: String::new(), ..good() }, "hostname"),
            (ContainerSpec { limits: limits(Some(1024), None, 9), ..good() }, "memory limit"),
            (ContainerSpec { limits: limits(Some(u64::MAX), None, 9), ..good() }, "memory limit"),
            (ContainerSpec { limits: limits(None, Some(u64::MAX), 9), ..good() }, "cpu limit"),
            (ContainerSpec { limits: limits(None, Some(1), 9), ..good() }, "cpu limit"),
            (ContainerSpec { limits: limits(None, None, 0), ..good() }, "process limit"),
        ];
        for (spec, reason) in table {
            let error = host.try_start(&spec).await.map(drop).expect_err(reason).to_string();
            assert!(error.contains(reason), "{reason:?} in {error:?}");
        }
        // The same id is free again, so nothing was left of it.
        assert_eq!(host.run(&good()).await.0, Exit::Code(0));
        // A command that the kernel refuses is seen in the output.
        std::fs::write(host.layer().join("bin/broken"), "#!/nowhere\n").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(host.layer().join("bin/broken"), mode).unwrap();
        let (exit, text) = host.run(&ContainerSpec { args: args(&["broken"]), ..good() }).await;
        assert!(
            matches!(exit, Exit::Code(code) if code != 0) && text.contains("failed to execute"),
            "{exit} {text}"
        );
        host.launcher.close().await;
        assert!(cgroups(&host.cgroup).is_empty());
    });
}

fn links_of_an_image_stay_within_it() {
    block_on(async {
        let host = Host::new().await;
        let outside = host.folder.path().join("outside");
        std::fs::create_dir(&outside).unwrap();
        let evil = host.folder.path().join("evil");
        std::fs::create_dir(&evil).unwrap();
        let up = "../".repeat(40);
        symlink(format!("{up}{}", outside.display()), evil.join("work")).unwrap();
        symlink(&outside, evil.join("work2")).unwrap();
        for name in ["proc", "dev", "sys", "tmp"] {
            symlink(format!("{up}{}", outside.display()), evil.join(name)).unwrap();
        }
        for (id, cwd) in [("a", "/work/x"), ("b", "/work2/x"), ("c", "/")] {
            let mut spec = host.spec(id, "touch /work/inside /work2/inside /proc/inside");
            spec.layers.push(evil.clone());
            spec.cwd = cwd.to_owned();
            spec.read_only = id == "c";
            // Refused or run: either is right, as long as nothing gets out.
            if let Ok((container, output)) = host.try_start(&spec).await {
                output.read().await;
                container.removed().await;
            }
            let got_out: Vec<_> = std::fs::read_dir(&outside).unwrap().flatten().collect();
            assert!(got_out.is_empty(), "{cwd}: {got_out:?}");
        }
    });
}
