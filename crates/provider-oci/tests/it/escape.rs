//! What a hostile image or function tries to reach from its container: the host's files.

use std::os::unix::fs::symlink;
use std::path::Path;

use provider_oci::container::ContainerSpec;

use crate::harness::Test;
use crate::support::{Host, block_on};

pub const TESTS: &[Test] =
    &[("escape::mount_points_that_are_links_are_refused", mount_points_that_are_links_are_refused)];

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
