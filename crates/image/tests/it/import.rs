//! Archives that are as they should be.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use image::{ImageRef, ImportOptions, Store};
use tar::EntryType;

use crate::fixture::*;

fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("images")).unwrap();
    (dir, store)
}

fn named(text: &str) -> ImageRef {
    ImageRef::parse(text).unwrap()
}

#[test]
fn a_docker_archive_becomes_an_image() {
    let (_dir, store) = store();
    let lower =
        tar(&[dir("etc"), file("etc/a", "one"), file("etc/b", "two"), dir("var"), file("var/x", "x")]);
    let upper = tar(&[file("etc/.wh.a", ""), dir("var"), file("var/.wh..wh..opq", ""), file("var/y", "y")]);
    let archive = docker_save(&["app:1", "localhost:5000/app:2"], &[lower, upper]);
    let names = store.import_reader(&mut &gzip(&archive)[..], &ImportOptions::default()).unwrap();
    assert_eq!(names, [named("app:1"), named("localhost:5000/app:2")]);

    let image = store.resolve(&named("app:1")).unwrap().unwrap();
    assert_eq!(image.layer_dirs.len(), 2);
    assert_eq!(image.config.config().as_ref().unwrap().cmd().as_ref().unwrap(), &["/bin/app"]);
    assert_eq!(tree(&image.layer_dirs[0]), ["etc/", "etc/a", "etc/b", "var/", "var/x"]);
    assert_eq!(tree(&image.layer_dirs[1]), ["etc/", "etc/a whiteout", "var/", "var/y"]);
    let mut opaque = [0; 8];
    let count =
        rustix::fs::getxattr(image.layer_dirs[1].join("var"), "trusted.overlay.opaque", &mut opaque).unwrap();
    assert_eq!(&opaque[..count], b"y");
    assert!(image.lowerdir().len() < 40, "{}", image.lowerdir());
    assert!(store.resolve(&named("app:3")).unwrap().is_none());

    let list = store.list().unwrap();
    assert_eq!(list.len(), 2);
    assert_eq!(list[0].created.unwrap().to_string(), "2024-01-02T03:04:05Z");
    assert!(list[0].size.unwrap() > 4096);
}

#[test]
fn the_kernel_reads_the_layers_as_meant() {
    let (dir, store) = store();
    let lower = tar(&[file("etc/a", "one"), file("etc/b", "two"), file("var/x", "x"), file("d/old", "")]);
    let upper = tar(&[
        file("etc/.wh.a", ""),
        file("var/.wh..wh..opq", ""),
        file("var/y", "y"),
        file(".wh.d", ""),
        file("d/new", ""),
    ]);
    store.import_reader(&mut &docker_save(&["app"], &[lower, upper])[..], &ImportOptions::default()).unwrap();
    let image = store.resolve(&named("app")).unwrap().unwrap();
    let merged = dir.path().join("merged");
    std::fs::create_dir(&merged).unwrap();
    // In a mount namespace of its own, so that nothing is left whatever happens.
    let script = format!(
        "cd {} && mount -t overlay overlay -o ro,lowerdir={} {} && cd {} && find . | sort | tr '\\n' ' '",
        image.store_dir().display(),
        image.lowerdir(),
        merged.display(),
        merged.display()
    );
    let output = std::process::Command::new("unshare").args(["-m", "sh", "-c", &script]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout), ". ./d ./d/new ./etc ./etc/b ./var ./var/y ");
}

#[test]
fn owners_modes_times_and_links_are_kept() {
    let (_dir, store) = store();
    let layer = tar(&[
        Entry { mode: 0o1777, ..dir("tmp") },
        Entry { mode: 0o4755, uid: 1234, mtime: 1_700_000_000, ..file("bin/su", "x") },
        pax("mtime", b"-1.5"),
        file("old", ""),
        link("bin/su2", EntryType::Link, "bin/su"),
        symlink("bin/sh", "/bin/../../busybox"),
        symlink("lib", "usr/lib"),
        file("usr/lib/keep", ""),
        file("lib/through", "t"),
        entry("pipe", EntryType::Fifo),
        Entry { device: (0, 0), ..entry("gone", EntryType::Char) },
        pax("SCHILY.xattr.security.capability", b"\x01\0\0\x02"),
        file("caps", ""),
        Entry { name: format!("long/{}", "n".repeat(200)).into(), ..file("", "long") },
        Entry { mtime: 42, mode: 0o700, ..dir("late") },
        file("late/child", ""),
    ]);
    store.import_reader(&mut &docker_save(&["app"], &[layer])[..], &ImportOptions::default()).unwrap();
    let root = store.resolve(&named("app")).unwrap().unwrap().layer_dirs[0].clone();
    let su = std::fs::metadata(root.join("bin/su")).unwrap();
    assert_eq!(
        (su.mode() & 0o7777, su.uid(), su.gid(), su.mtime(), su.nlink()),
        (0o4755, 1234, 1234, 1_700_000_000, 2)
    );
    assert_eq!(std::fs::metadata(root.join("tmp")).unwrap().permissions().mode() & 0o7777, 0o1777);
    let old = std::fs::metadata(root.join("old")).unwrap();
    assert_eq!((old.mtime(), old.mtime_nsec()), (-2, 500_000_000));
    let late = std::fs::metadata(root.join("late")).unwrap();
    assert_eq!((late.mtime(), late.mode() & 0o777), (42, 0o700));
    assert!(rustix::fs::getxattr(root.join("caps"), "security.capability", &mut [0; 64]).is_err());
    assert_eq!(std::fs::read(root.join("usr/lib/through")).unwrap(), b"t");
    let long = format!("long/{}", "n".repeat(200));
    let names = tree(&root);
    for name in ["bin/sh -> /bin/../../busybox", "gone whiteout", "pipe fifo", &long, "lib -> usr/lib"] {
        assert!(names.iter().any(|have| have == name), "{name} in {names:?}");
    }
}

#[test]
fn an_oci_layout_is_imported_as_directory_and_as_archive() {
    let plain = tar(&[file("app", "hello")]);
    let zstd = zstd::encode_all(&plain[..], 3).unwrap();
    for blob in [gzip(&plain), zstd, plain.clone()] {
        let (dir, store) = store();
        let files = oci_layout(Some("registry.example/app:7"), &[(plain.clone(), blob)]);
        let layout = dir.path().join("layout");
        write_files(&layout, &files);
        let names = store.import(&layout, &ImportOptions::default()).unwrap();
        assert_eq!(names, [named("registry.example/app:7")]);
        let options = ImportOptions { name: Some(named("other:1")) };
        assert_eq!(store.import_reader(&mut &tar_files(&files)[..], &options).unwrap(), [named("other:1")]);
        let (a, b) =
            (store.resolve(&names[0]).unwrap().unwrap(), store.resolve(&named("other:1")).unwrap().unwrap());
        assert_eq!((&a.digest, &a.layer_dirs), (&b.digest, &b.layer_dirs));
        assert_eq!(std::fs::read(a.layer_dirs[0].join("app")).unwrap(), b"hello");
        let by_digest = named(&format!("registry.example/app@{}", a.digest));
        assert_eq!(store.resolve(&by_digest).unwrap().unwrap().digest, a.digest);
    }
}

#[test]
fn an_image_without_layers_can_be_mounted() {
    let (_dir, store) = store();
    store.import_reader(&mut &docker_save(&["nothing"], &[])[..], &ImportOptions::default()).unwrap();
    let image = store.resolve(&named("nothing")).unwrap().unwrap();
    assert_eq!(image.lowerdir(), "l/empty");
    assert!(image.layer_dirs[0].is_dir());
}

#[test]
fn links_between_layers_of_an_old_archive_are_followed() {
    let (_dir, store) = store();
    let layer = tar(&[file("a", "a")]);
    let config = config(&[layer.clone(), layer.clone()]);
    let manifest = r#"[{"Config":"c.json","RepoTags":["app:1"],"Layers":["one/layer.tar","two/layer.tar"]}]"#;
    let archive = tar(&[
        file("c.json", config),
        file("one/layer.tar", layer),
        symlink("two/layer.tar", "../one/layer.tar"),
        file("manifest.json", manifest),
    ]);
    store.import_reader(&mut &archive[..], &ImportOptions::default()).unwrap();
    let image = store.resolve(&named("app:1")).unwrap().unwrap();
    assert_eq!(image.layer_dirs[0], image.layer_dirs[1]);
}
