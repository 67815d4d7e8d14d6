//! `minke image` over a store of its own: what is taken in, what is refused, what stays because a function needs it.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use insta::assert_snapshot;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::Place;

const ARCHITECTURE: &str = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };

fn place() -> Place {
    let place = Place::new();
    let data = place.path("data").display().to_string();
    let place = place.with("MINKE_DATA_DIR", data);
    place.file("one/Dockerfile", "FROM scratch\nCOPY file.txt /\nCMD [\"/file.txt\"]\n");
    place.file("one/file.txt", "text");
    place
}

fn built(name: &str) -> Place {
    let place = place();
    let outcome =
        place.run(&["build", "--image", name, "--handler", "one", "--lang", "dockerfile", "--quiet"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    place
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An archive of the files; the names are taken as they are.
fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_cksum();
        archive.append(&header, *content).expect("it is written");
    }
    archive.into_inner().expect("it is written")
}

/// As `docker save` writes an image of one layer.
fn saved(names: Value, layer: &[u8], diff_id: &str) -> Vec<u8> {
    let config = json!({
        "architecture": ARCHITECTURE, "os": "linux", "created": "2024-01-02T03:04:05Z", "config": {"Cmd": ["/app"]},
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
    });
    let manifest = json!([{"Config": "config.json", "RepoTags": names, "Layers": ["layer.tar"]}]);
    archive(&[
        ("config.json", config.to_string().as_bytes()),
        ("layer.tar", layer),
        ("manifest.json", manifest.to_string().as_bytes()),
    ])
}

fn good() -> Vec<u8> {
    let layer = archive(&[("app", b"#!/bin/true\n")]);
    saved(json!(["hello:1", "example.com/team/hello:2"]), &layer, &format!("sha256:{}", sha256(&layer)))
}

/// Every path of the store with the size of what is there.
fn content(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let metadata = fs::symlink_metadata(&path).expect("it is there");
            if metadata.is_dir() {
                folders.push(path.clone());
            }
            let size = if metadata.is_file() { metadata.len() } else { 0 };
            found.push(format!("{} {size}", path.display()));
        }
    }
    found.sort();
    found
}

#[test]
fn a_saved_image_is_imported_listed_and_removed() {
    let place = place();
    place.file("hello.tar", good());
    let mut text = String::new();
    let mut short = String::new();
    let rows: [&[&str]; 7] = [
        &["image", "import", "hello.tar"],
        &["image", "import", "hello.tar", "--name", "other"],
        &["image", "list"],
        &["image", "remove", "hello:1", "hello:1", "nobody"],
        &["image", "list", "--quiet"],
        &["image", "remove", "other", "example.com/team/hello:2"],
        &["image", "list", "--json"],
    ];
    for args in rows {
        if args == ["image", "list"] {
            let listed: Value =
                serde_json::from_str(&place.run(&["image", "list", "--json"]).stdout).expect("JSON");
            let digest = listed[0]["digest"].as_str().expect("a digest");
            short = digest.trim_start_matches("sha256:").chars().take(12).collect();
        }
        write!(text, "{}\n{}", args.join(" "), place.run(args).show("http://nowhere"))
            .expect("a string takes it");
    }
    // It differs from architecture to architecture.
    assert_snapshot!("image_import", text.replace(&short, "DIGEST......"));
    let left = content(&place.path("data/images"));
    assert!(
        !left.iter().any(|line| line.contains("/blobs/sha256/") || line.contains("/layers/")),
        "{left:?}"
    );
    let outcome = place.run_with(&["image", "import", "-"], &good());
    assert_eq!(outcome.stdout, "Imported: hello:1\nImported: example.com/team/hello:2\n", "{outcome:?}");
}

#[test]
fn an_empty_variable_is_no_data_folder() {
    let place = Place::new().with("MINKE_DATA_DIR", "");
    let outcome = place.run(&["image", "import", "missing.tar"]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(64), "minke: missing.tar is not there\n"));
    let outcome = place.run(&["image", "list", "--data-dir", ""]);
    assert_eq!(outcome.code, Some(64), "{outcome:?}");
    assert!(outcome.stderr.contains("a value is required"), "{outcome:?}");
}

#[test]
fn bad_archives_are_refused_and_leave_the_store_as_it_was() {
    let place = built("kept");
    let layer = archive(&[("app", b"x")]);
    let diff_id = format!("sha256:{}", sha256(&layer));
    let of_layer = |layer: &[u8]| saved(json!(["bad"]), layer, &format!("sha256:{}", sha256(layer)));
    let escaping = archive(&[("../canary", b"x")]);
    let windows = String::from_utf8(saved(json!(["bad"]), &layer, &diff_id)).expect("text");
    let cases: [(&str, Vec<u8>); 12] = [
        ("empty", Vec::new()),
        ("text", b"hello".to_vec()),
        ("no manifest", archive(&[("file", b"x")])),
        ("manifest is no JSON", archive(&[("manifest.json", b"{")])),
        (
            "names a file of the host",
            archive(&[("manifest.json", br#"[{"Config":"/etc/passwd","Layers":[]}]"#)]),
        ),
        (
            "a file is missing",
            archive(&[("manifest.json", br#"[{"Config":"c","RepoTags":["bad"],"Layers":[]}]"#)]),
        ),
        ("no name", saved(Value::Null, &layer, &diff_id)),
        ("bad name", saved(json!(["Bad Name"]), &layer, &diff_id)),
        ("another content", saved(json!(["bad"]), &layer, &format!("sha256:{}", "0".repeat(64)))),
        ("leads out", of_layer(&escaping)),
        ("whiteout of nothing", of_layer(&archive(&[(".wh.", b"")]))),
        ("another system", windows.replace("\"os\":\"linux\"", "\"os\":\"plan9\"").into_bytes()),
    ];
    let before = content(&place.path("data/images"));
    let mut text = String::new();
    for (what, bytes) in &cases {
        place.file("bad.tar", bytes);
        let outcome = place.run(&["image", "import", "bad.tar"]);
        write!(text, "{what}\n{}", outcome.show("http://nowhere")).expect("a string takes it");
        assert_eq!(content(&place.path("data/images")), before, "{what}");
    }
    let mut cut = good();
    cut.truncate(1200);
    place.file("bad.tar", cut);
    let outcome = place.run(&["image", "import", "bad.tar"]);
    write!(text, "cut short\n{}", outcome.show("http://nowhere")).expect("a string takes it");
    assert_eq!(content(&place.path("data/images")), before);
    assert_snapshot!("image_import_refused", text.replace(ARCHITECTURE, "ARCH"));
}

#[test]
fn what_a_function_needs_stays_while_the_platform_is_down() {
    let place = built("needed");
    let json: Value = serde_json::from_str(&place.run(&["image", "list", "--json"]).stdout).expect("JSON");
    let digest = json[0]["digest"].as_str().expect("a digest").to_owned();
    let file = "data/functions/dev/fn.json";
    let kept = |place: &Place| {
        assert_eq!(place.run(&["image", "list", "-q"]).stdout, "needed:latest\n");
        content(&place.path("data/images"))
    };
    place.file(file, json!({"digest": digest, "more": "than this"}).to_string());
    let before = kept(&place);
    let remove = || place.run(&["image", "remove", "needed"]).show("http://nowhere");
    let mut text = remove();
    assert_eq!(kept(&place), before);
    for unclear in ["{", "{}", r#"{"digest":"sha256:00"}"#, r#"{"digest":7}"#] {
        place.file(file, unclear);
        text += &remove();
        assert_eq!(kept(&place), before, "{unclear}");
    }

    // The name means another image now, so it may go; the content may not.
    place.file(file, json!({"digest": digest}).to_string());
    place.file("one/file.txt", "another text");
    let build = ["build", "--image", "needed", "--handler", "one", "--lang", "dockerfile", "--quiet"];
    assert_eq!(place.run(&build).code, Some(0));
    text += &remove();
    let hex = digest.strip_prefix("sha256:").expect("a digest");
    assert!(place.path("data/images/blobs/sha256").join(hex).exists());

    // What was never accepted needs nothing.
    fs::remove_file(place.path(file)).expect("it is there");
    place.file("data/functions/dev/torn.tmp", "{");
    assert_eq!(place.run(&build).code, Some(0));
    text += &remove();
    assert!(!place.path("data/images/blobs/sha256").join(hex).exists());
    assert_snapshot!("image_needed", text);
}
