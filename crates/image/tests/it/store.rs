//! Removal, sweeping, and several users of one store at once.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use image::{Digest, ImageError, ImageRef, ImportOptions, Store};

use crate::fixture::*;

fn named(text: &str) -> ImageRef {
    ImageRef::parse(text).unwrap()
}

fn import(store: &Store, name: &str, layers: &[Vec<u8>]) {
    store.import_reader(&mut &docker_save(&[name], layers)[..], &ImportOptions::default()).unwrap();
}

const NOT_IN_USE: &dyn Fn(&Digest) -> bool = &|_| false;

#[test]
fn removal_keeps_what_others_need() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let (base, a, b) = (tar(&[file("base", "")]), tar(&[file("a", "")]), tar(&[file("b", "")]));
    import(&store, "a", &[base.clone(), a]);
    import(&store, "b", &[base, b]);
    let report = store.remove(&named("a"), NOT_IN_USE).unwrap();
    assert_eq!((report.layers_removed, report.deferred), (1, false));
    assert_eq!(store.resolve(&named("b")).unwrap().unwrap().layer_dirs.len(), 2);
    assert!(matches!(store.remove(&named("a"), NOT_IN_USE), Err(ImageError::NotFound { .. })));
    store.remove(&named("b"), NOT_IN_USE).unwrap();
    assert_empty(&store);
}

#[test]
fn an_image_in_use_outlives_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    import(&store, "a", &[tar(&[file("a", "")])]);
    let image = store.resolve(&named("a")).unwrap().unwrap();
    // Another handle, as another process would have: the lock is the kernel's.
    let other = Store::open(dir.path()).unwrap();
    assert_eq!(other.remove(&named("a"), NOT_IN_USE).unwrap().layers_removed, 0);
    assert!(image.layer_dirs[0].join("a").exists());
    let by_digest = named(&format!("a@{}", image.digest));
    assert_eq!(other.resolve(&by_digest).unwrap().unwrap().layer_dirs, image.layer_dirs);
    let digest = image.digest.clone();
    drop(image);
    assert_eq!(other.sweep(&|used| *used == digest).unwrap().garbage.layers_removed, 0);
    assert_eq!(other.sweep(NOT_IN_USE).unwrap().garbage.layers_removed, 1);
    assert_empty(&store);
}

#[test]
fn a_name_is_moved_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    import(&store, "a", &[tar(&[file("one", "")])]);
    import(&store, "b", &[tar(&[file("two", "")])]);
    let (one, two) =
        (store.resolve(&named("a")).unwrap().unwrap(), store.resolve(&named("b")).unwrap().unwrap());
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..100 {
                store.tag(&one, &named("moving")).unwrap();
                store.tag(&two, &named("moving")).unwrap();
            }
            done.store(true, std::sync::atomic::Ordering::SeqCst);
        });
        store.tag(&one, &named("moving")).unwrap();
        while !done.load(std::sync::atomic::Ordering::SeqCst) {
            let digest = store.resolve(&named("moving")).unwrap().unwrap().digest;
            assert!(digest == one.digest || digest == two.digest);
        }
    });
}

#[test]
fn everything_is_private_to_the_owner() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("images")).unwrap();
    import(&store, "a", &[tar(&[file("a", "")])]);
    let mode = |path: &str| std::fs::metadata(store.dir().join(path)).unwrap().permissions().mode() & 0o777;
    for name in ["", "blobs/sha256", "refs", "manifests", "layers", "l", "tmp"] {
        assert_eq!(mode(name), 0o700, "{name}");
    }
    for name in tree(store.dir()).iter().filter(|name| {
        ["refs/", "blobs/sha256/", "manifests/"].iter().any(|dir| name.starts_with(dir) && *name != dir)
    }) {
        assert_eq!(mode(name), 0o600, "{name}");
    }
}

#[test]
fn a_layer_that_a_power_cut_may_have_torn_is_unpacked_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    import(&store, "a", &[tar(&[file("a", "whole")])]);
    let layer = std::fs::canonicalize(&store.resolve(&named("a")).unwrap().unwrap().layer_dirs[0]).unwrap();
    std::fs::write(layer.join("a"), "").unwrap();
    let mark = "trusted.minke.boot";
    // Synced behind our back; a resolve starts that again if another test's had the turn.
    while rustix::fs::getxattr(&layer, mark, &mut [0; 64]).is_ok() {
        store.resolve(&named("a")).unwrap();
        std::thread::yield_now();
    }
    rustix::fs::setxattr(&layer, mark, b"another boot", rustix::fs::XattrFlags::empty()).unwrap();
    let again = store.resolve(&named("a")).unwrap().unwrap();
    assert_eq!(std::fs::read(again.layer_dirs[0].join("a")).unwrap(), b"whole");
    assert_eq!(std::fs::read_dir(dir.path().join("tmp")).unwrap().count(), 0);
}

const ROLE: &str = "IMAGE_TEST_STORE";

/// Not a test of its own: the body of the processes that the tests below start.
#[test]
fn child() {
    let Ok(dir) = std::env::var(ROLE) else { return };
    let store = Store::open(&dir).unwrap();
    import(&store, &std::env::var("IMAGE_TEST_NAME").unwrap(), &[big_layer()]);
}

fn big_layer() -> Vec<u8> {
    let files: Vec<_> =
        (0..2000).map(|i| file(&format!("d{}/f{i}", i % 50), format!("{i}").repeat(100))).collect();
    tar(&files)
}

fn spawn_child(dir: &std::path::Path, name: &str) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "store::child", "--nocapture"])
        .env(ROLE, dir)
        .env("IMAGE_TEST_NAME", name)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn processes_unpack_one_layer_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut children: Vec<_> = (0..4).map(|i| spawn_child(dir.path(), &format!("app{i}"))).collect();
    for child in &mut children {
        assert!(child.wait().unwrap().success());
    }
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.list().unwrap().len(), 4);
    assert_eq!(std::fs::read_dir(dir.path().join("layers")).unwrap().count(), 1);
    assert_eq!(std::fs::read_dir(dir.path().join("tmp")).unwrap().count(), 0);
    let image = store.resolve(&named("app0")).unwrap().unwrap();
    assert_eq!(tree(&image.layer_dirs[0]).len(), 2050);
}

#[test]
fn a_kill_at_any_instant_is_swept() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..20u64 {
        let mut child = spawn_child(dir.path(), "app");
        // The instant is what varies: from before the store is opened to after the import.
        let start = std::time::Instant::now();
        let until = std::time::Duration::from_millis(round * 12);
        while start.elapsed() < until && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        let _ = child.kill();
        child.wait().unwrap();
        let store = Store::open(dir.path()).unwrap();
        store.sweep(NOT_IN_USE).unwrap();
        if let Some(image) = store.resolve(&named("app")).unwrap() {
            assert_eq!(tree(&image.layer_dirs[0]).len(), 2050, "round {round}");
            drop(image);
            store.remove(&named("app"), NOT_IN_USE).unwrap();
        }
        assert_empty(&store);
    }
}
