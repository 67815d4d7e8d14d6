//! A function: this executable again, with the libraries it needs, as an image.

use std::convert::Infallible;
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use image::{ImportOptions, Store};
use sha2::{Digest, Sha256};

use crate::support::busybox_layer;

const FUNCTION: &str = "function-process";

/// Serves `provider::echo` on port 8080.
pub fn main_if_function() -> bool {
    if std::env::args().nth(1).as_deref() != Some(FUNCTION) {
        return false;
    }
    println!("echo is up");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 8080)).await.unwrap();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = service_fn(|request| async { Ok::<_, Infallible>(provider::echo(request)) });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    })
}

/// Imports `test/echo`, which echoes, others that do something beside it, and `test/broken`, whose command fails.
pub fn import(store: &Store) {
    let folder = tempfile::tempdir().unwrap();
    let layer = folder.path().join("layer");
    busybox_layer(&layer);
    let this = std::env::current_exe().unwrap();
    let program = layer.join("bin/echo-function");
    let stripped = Command::new("strip").arg("-o").arg(&program).arg(&this).status();
    assert!(stripped.expect("binutils are installed").success());
    for library in libraries(&this) {
        let target = layer.join(library.strip_prefix("/").unwrap());
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(&library, target).unwrap();
    }
    let mut files = tar::Builder::new(Vec::new());
    files.follow_symlinks(false);
    files.append_dir_all(".", &layer).unwrap();
    let layer = files.into_inner().unwrap();
    archive(store, "test/echo", &layer, r#"["/bin/echo-function", "function-process"]"#);
    // Echoes too, and does something else all the time.
    let beside =
        |other: &str| format!(r#"["/bin/sh", "-c", "{other} & exec echo-function function-process"]"#);
    archive(store, "test/flood", &layer, &beside("yes flood"));
    archive(store, "test/busy", &layer, &beside("while :; do :; done"));
    archive(store, "test/broken", &layer, r#"["/bin/sh", "-c", "echo it is broken; exit 5"]"#);
}

/// As `docker save` writes it.
fn archive(store: &Store, name: &str, layer: &[u8], command: &str) {
    let digest = hex(layer);
    let config = format!(
        r#"{{"architecture":"{}","os":"linux","config":{{"Cmd":{command},"User":"app"}},
            "rootfs":{{"type":"layers","diff_ids":["sha256:{digest}"]}}}}"#,
        if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" }
    );
    let manifest =
        format!(r#"[{{"Config":"config.json","RepoTags":["{name}:latest"],"Layers":["layer.tar"]}}]"#);
    let mut tar = tar::Builder::new(Vec::new());
    for (path, content) in
        [("manifest.json", manifest.as_bytes()), ("config.json", config.as_bytes()), ("layer.tar", layer)]
    {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, path, content).unwrap();
    }
    store.import_reader(&mut io::Cursor::new(tar.into_inner().unwrap()), &ImportOptions::default()).unwrap();
}

fn libraries(program: &Path) -> Vec<PathBuf> {
    let told = Command::new("ldd").arg(program.canonicalize().unwrap()).output().unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    let paths = told.split_whitespace().filter(|word| word.starts_with('/'));
    paths.map(PathBuf::from).collect()
}

fn hex(bytes: &[u8]) -> String {
    let mut text = Vec::new();
    for byte in Sha256::digest(bytes) {
        write!(text, "{byte:02x}").unwrap();
    }
    String::from_utf8(text).unwrap()
}
