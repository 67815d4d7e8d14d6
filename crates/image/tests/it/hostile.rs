//! Archives that want something else. Each is refused with its reason, and leaves nothing, inside and outside.

use image::{ImportOptions, Limits, Store};
use serde_json::json;
use tar::EntryType;

use crate::fixture::*;

fn limits() -> Limits {
    Limits {
        unpacked_max: 4 << 20,
        entries_max: 100,
        depth_max: 16,
        directory_paths_max: 16 << 10,
        header_max: 64 << 10,
        ratio_max: 100,
        ratio_floor: 1 << 20,
        ..Limits::default()
    }
}

/// Imports into a store beside a canary that no import may touch.
fn refused(what: &str, archive: &[u8], expected: &str) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("canary"), "alive").unwrap();
    let store = Store::open_with(dir.path().join("images"), limits()).unwrap();
    match store.import_reader(&mut &archive[..], &ImportOptions::default()) {
        Ok(_) => panic!("{what}: was imported"),
        Err(error) => {
            let text = chain(&error);
            assert!(text.contains(expected), "{what}: {text:?} says nothing of {expected:?}");
        }
    }
    assert_empty(&store);
    let beside: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(beside.len(), 2, "{what}: {beside:?}");
    assert_eq!(std::fs::read(dir.path().join("canary")).unwrap(), b"alive", "{what}");
}

fn layer_refused(what: &str, entries: &[Entry], expected: &str) {
    refused(what, &docker_save(&["bad"], &[tar(entries)]), expected);
}

#[test]
fn hostile_entries_are_refused() {
    use EntryType::{Block, Char, Link};
    let out = "leads out of the layer through a symbolic link";
    layer_refused("parent", &[file("../canary", "x")], "`..`");
    layer_refused("parent inside", &[file("a/../../canary", "x")], "`..`");
    layer_refused("absolute", &[file("/etc/canary", "x")], "absolute path");
    layer_refused("absolute directory", &[dir("/tmp/x")], "absolute path");
    layer_refused("symlink up", &[symlink("s", "../../../.."), file("s/canary", "x")], out);
    layer_refused("symlink absolute", &[symlink("s", "/"), file("s/canary", "x")], out);
    layer_refused(
        "symlink in two steps",
        &[dir("d"), symlink("d/a", ".."), symlink("d/b", "a/.."), file("d/b/x", "x")],
        out,
    );
    layer_refused("directory through a link", &[symlink("s", "/"), dir("s/canary-dir")], out);
    layer_refused("whiteout through a link", &[symlink("s", "/"), file("s/.wh.canary", "")], out);
    layer_refused("opaque through a link", &[symlink("s", "/tmp"), file("s/.wh..wh..opq", "")], out);
    layer_refused("symlink through a link", &[symlink("s", "/"), symlink("s/t", "x")], out);
    layer_refused("link loop", &[symlink("a", "b"), symlink("b", "a"), file("a/x", "x")], out);
    layer_refused("dangling parent", &[symlink("s", "nowhere"), file("s/x", "x")], "no directory");
    layer_refused("file as parent", &[file("f", ""), file("f/x", "x")], "no directory");
    layer_refused("hard link up", &[link("h", Link, "../../canary")], "`..`");
    layer_refused("hard link absolute", &[link("h", Link, "/etc/passwd")], "absolute path");
    layer_refused("hard link through a link", &[symlink("s", "/etc"), link("h", Link, "s/passwd")], out);
    layer_refused("hard link to nothing", &[link("h", Link, "nowhere/x")], "not in the layer");
    layer_refused("hard link to a directory", &[dir("d"), link("h", Link, "d")], "not in the layer");
    layer_refused("hard link to a whiteout", &[file(".wh.x", ""), link("h", Link, "x")], "not in the layer");
    layer_refused("character device", &[entry("null", Char)], "device node");
    layer_refused("block device", &[entry("sda", Block)], "device node");
    layer_refused("unknown type", &[entry("odd", EntryType::new(b'Z'))], "unknown type 'Z'");
    layer_refused("file over directory", &[dir("d"), file("d", "x")], "replaces a directory");
    layer_refused("link over directory", &[dir("d"), symlink("d", "/")], "replaces a directory");
    layer_refused("file as root", &[file("./", "x")], "replaces a directory");
    layer_refused("whiteout of nothing", &[file(".wh.", "")], "whiteout of no valid name");
    layer_refused("whiteout of the parent", &[file(".wh...", "")], "whiteout of no valid name");
    layer_refused("whiteout as parent", &[file(".wh.d/x", "")], "whiteout of no valid name");
    layer_refused("long name", &[file(&"n".repeat(256), "")], "longer than 255 bytes");
    layer_refused("long path", &[file(&"p/".repeat(2100), "")], "longer than 4095 bytes");
    layer_refused(
        "deep path",
        &[file(&"p/".repeat(17), "")],
        "17 directories deep".replace("17", "16").as_str(),
    );
    layer_refused("huge owner", &[Entry { uid: u64::from(u32::MAX) + 1, ..file("f", "") }], "owner");
    layer_refused("empty symlink", &[symlink("s", "")], "malformed header");
    layer_refused("sparse pax", &[pax("GNU.sparse.major", b"1"), file("f", "x")], "sparse");
    layer_refused("zero in pax path", &[pax("path", b"a\0b"), file("f", "x")], "zero byte");
    layer_refused("parent in pax path", &[pax("path", b"../canary"), file("f", "x")], "`..`");
    layer_refused("bad pax time", &[pax("mtime", b"soon"), file("f", "x")], "malformed header");
}

#[test]
fn bombs_are_refused() {
    let many: Vec<_> = (0..101).map(|i| file(&format!("f{i}"), "")).collect();
    layer_refused("entries", &many, "more than 100 entries");
    // Each names fifteen directories that no entry is for.
    let deep: Vec<_> = (0..8).map(|i| file(&format!("{i}/{}f", "d/".repeat(14)), "")).collect();
    layer_refused("directories without entries", &deep, "more than 100 entries");
    let layers: Vec<_> = (0..3)
        .map(|layer| tar(&(0..40).map(|i| file(&format!("{layer}-{i}"), "")).collect::<Vec<_>>()))
        .collect();
    refused("entries over layers", &docker_save(&["bad"], &layers), "more than 100 entries");
    let long: Vec<_> = (0..90).map(|i| dir(&format!("{i}-{}", "n".repeat(200)))).collect();
    layer_refused("paths of directories", &long, "longer than 16384 bytes together");
    layer_refused(
        "huge pax header",
        &[pax("comment", &vec![b'x'; 100 << 10]), file("f", "")],
        "bytes of headers",
    );
    let long_name = Entry { name: vec![b'n'; 100 << 10], ..file("", "") };
    layer_refused("huge long name", &[long_name], "bytes of headers");
    let claims = Entry { size: Some(1 << 40), ..file("f", "x") };
    layer_refused("size that is not there", &[claims], "");
    let mut sparse = Vec::new();
    Entry { size: Some(0), ..entry("s", EntryType::GNUSparse) }.write(&mut sparse);
    // realsize of an old GNU sparse header, without any data.
    sparse[483..495].copy_from_slice(b"77777777777\0");
    let sum: u32 = sparse[..512]
        .iter()
        .enumerate()
        .map(|(i, b)| if (148..156).contains(&i) { 32 } else { u32::from(*b) })
        .sum();
    sparse[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    sparse.resize(sparse.len() + 1024, 0);
    refused("sparse file", &docker_save(&["bad"], &[sparse]), "");

    let zeros = tar(&[file("zeros", vec![0; 3 << 20])]);
    let bomb = |plain: &[u8], blob: Vec<u8>| tar_files(&oci_layout(Some("bad:1"), &[(plain.to_vec(), blob)]));
    refused("gzip ratio", &bomb(&zeros, gzip(&zeros)), "like a decompression bomb");
    refused(
        "zstd ratio",
        &bomb(&zeros, zstd::encode_all(&zeros[..], 19).unwrap()),
        "like a decompression bomb",
    );
    let noise: Vec<u8> =
        (0u32..).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).take(5 << 20).collect();
    let large = tar(&[file("noise", &noise)]);
    refused("size", &bomb(&large, gzip(&large)), "unpacks to more than");
}

#[test]
fn deep_trees_cost_what_their_directories_cost() {
    // A megabyte and a half of archive that would be a quarter of a million directories, one gigabyte of disk.
    let deep: Vec<_> = (0..2000).map(|i| file(&format!("{i}/{}f", "d/".repeat(125)), "")).collect();
    let archive = docker_save(&["bad"], &[tar(&deep)]);
    let import = |limits| {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open_with(dir.path().join("images"), limits).unwrap();
        let error = store.import_reader(&mut &archive[..], &ImportOptions::default()).unwrap_err();
        assert_empty(&store);
        chain(&error)
    };
    let error = import(Limits { entries_max: 3000, ..Limits::default() });
    assert!(error.contains("more than 3000 entries"), "{error}");
    let error = import(Limits { unpacked_max: 8 << 20, ..Limits::default() });
    assert!(error.contains("unpacks to more than 8388608 bytes"), "{error}");
}

#[test]
fn a_sparse_file_is_a_hole_on_the_disk_too() {
    use std::os::unix::fs::MetadataExt;
    const SIZE: u64 = 3 << 20;
    let mut layer = Vec::new();
    Entry { content: vec![b'x'; 512], ..entry("s", EntryType::GNUSparse) }.write(&mut layer);
    // Data in front, then a hole up to the end, as the old GNU format writes it.
    for (at, value) in [(386, 0), (398, 512), (410, SIZE), (422, 0), (483, SIZE)] {
        layer[at..at + 12].copy_from_slice(format!("{value:011o}\0").as_bytes());
    }
    layer[148..156].fill(b' ');
    let sum: u32 = layer[..512].iter().map(|byte| u32::from(*byte)).sum();
    layer[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    layer.resize(layer.len() + 1024, 0);
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open_with(dir.path().join("images"), limits()).unwrap();
    store.import_reader(&mut &docker_save(&["app"], &[layer])[..], &ImportOptions::default()).unwrap();
    let image = store.resolve(&"app".parse().unwrap()).unwrap().unwrap();
    let path = image.layer_dirs[0].join("s");
    let metadata = std::fs::metadata(&path).unwrap();
    assert_eq!(metadata.len(), SIZE);
    assert!(metadata.blocks() * 512 <= 128 << 10, "{} blocks", metadata.blocks());
    let content = std::fs::read(path).unwrap();
    assert!(content[..512].iter().all(|byte| *byte == b'x') && content[512..].iter().all(|byte| *byte == 0));
}

#[test]
fn broken_archives_are_refused() {
    let good = tar(&[file("a", vec![7; 4000])]);
    let layout = |plain: &[u8], blob: &[u8]| oci_layout(Some("bad:1"), &[(plain.to_vec(), blob.to_vec())]);
    refused("not an archive", b"hello", "");
    refused("empty", b"", "neither a manifest.json");
    refused("archive cut short", &docker_save(&["bad"], std::slice::from_ref(&good))[..1500], "");
    refused("layer cut short", &docker_save(&["bad"], &[good[..3000].to_vec()]), "middle of its content");
    let zipped = gzip(&good);
    refused("gzip cut short", &tar_files(&layout(&good, &zipped[..zipped.len() / 2])), "corrupt");
    refused("bzip2", &tar_files(&layout(&good, b"BZh91AY&SY")), "not supported; use gzip");
    refused(
        "another layer than announced",
        &tar_files(&layout(b"other", &zipped)),
        "is corrupt: expected sha256:",
    );
    let mut bad_sum = good.clone();
    bad_sum[0] ^= 1;
    refused("header checksum", &docker_save(&["bad"], &[bad_sum]), "checksum");

    let mut swapped = layout(&good, &zipped);
    let blob = swapped.get_mut(&format!("blobs/sha256/{}", hex(&zipped))).unwrap();
    *blob = gzip(b"evil");
    refused("blob that is not its digest", &tar_files(&swapped), "is corrupt: expected sha256:");
    let mut missing = layout(&good, &zipped);
    missing.remove(&format!("blobs/sha256/{}", hex(&zipped)));
    refused("missing blob", &tar_files(&missing), "is missing");
    refused("no name", &tar_files(&oci_layout(None, &[(good.clone(), zipped.clone())])), "no image name");
    refused("bad name", &docker_save(&["Bad Name"], std::slice::from_ref(&good)), "Bad Name");
    refused(
        "file of the host",
        &tar(&[file("manifest.json", r#"[{"Config":"/etc/passwd","Layers":[]}]"#)]),
        "absolute path",
    );
    refused("link out of the archive", &tar(&[symlink("manifest.json", "../../etc/passwd")]), "leads out");
    let both = r#"{"schemaVersion":2,"layers":[],"manifests":[],"config":{}}"#;
    let mut ambiguous = layout(&good, &zipped);
    let index = json!({"schemaVersion": 2, "manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest(both.as_bytes()), "size": both.len()}]});
    ambiguous.insert("index.json".into(), index.to_string().into());
    ambiguous.insert(format!("blobs/sha256/{}", hex(both.as_bytes())), both.into());
    refused("ambiguous manifest", &tar_files(&ambiguous), "both an index and a manifest");
    let foreign = String::from_utf8(config(&[])).unwrap().replace("\"os\":\"linux\"", "\"os\":\"windows\"");
    let manifest = r#"[{"Config":"c.json","RepoTags":["bad:1"],"Layers":[]}]"#;
    refused(
        "another system",
        &tar(&[file("c.json", foreign), file("manifest.json", manifest)]),
        "offered for windows",
    );
    let many: Vec<_> = vec![good; 129];
    refused("129 layers", &docker_save(&["bad"], &many), "most is 128");
}

#[test]
fn repeated_entries_do_not_write_through_links() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("images")).unwrap();
    let canary = dir.path().join("canary");
    std::fs::write(&canary, "alive").unwrap();
    let layer = tar(&[
        symlink("a", canary.to_str().unwrap()),
        file("a", "inside"),
        file("b", "first"),
        file("b", "second"),
        crate::fixture::dir("d"),
        crate::fixture::dir("d"),
        symlink("e", "/"),
        crate::fixture::dir("e"),
        file("e/x", "x"),
        file("g", "x"),
        link("g", EntryType::Link, "g"),
    ]);
    store.import_reader(&mut &docker_save(&["app"], &[layer])[..], &ImportOptions::default()).unwrap();
    let image = store.resolve(&"app".parse().unwrap()).unwrap().unwrap();
    let root = &image.layer_dirs[0];
    assert_eq!(tree(root), ["a", "b", "d/", "e/", "e/x", "g"]);
    assert_eq!(std::fs::read(root.join("a")).unwrap(), b"inside");
    assert_eq!(std::fs::read(root.join("b")).unwrap(), b"second");
    assert_eq!(std::fs::read(canary).unwrap(), b"alive");
}
