//! Bad settings: an exit code, a message, what to do; and nothing is touched.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Output;

use crate::platform::{Platform, data_dir, minke};

fn up(data_dir: &Path, args: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = minke(data_dir, &["up"]);
    command.env("MINKE_LISTEN", "127.0.0.1:0").env("MINKE_METRICS_LISTEN", "127.0.0.1:0");
    command.args(args).envs(variables.iter().copied()).output().unwrap()
}

/// Ends at once with `code`, says `message`, and makes nothing in the data directory.
fn refused(args: &[&str], variables: &[(&str, &str)], code: i32, message: &str) {
    let dir = data_dir();
    let data = dir.path().join("data");
    let output = up(&data, args, variables);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{args:?} {variables:?}: {stderr}");
    assert!(stderr.contains(message), "{args:?} {variables:?}: {stderr:?} does not hold {message:?}");
    assert!(!data.exists(), "{args:?} made {}", data.display());
}

#[test]
fn bad_settings_are_refused_before_anything_is_touched() {
    let busy = TcpListener::bind("127.0.0.1:0").unwrap();
    let busy = busy.local_addr().unwrap().to_string();
    refused(&["--listen", &busy], &[], 64, "in use");
    refused(&["--metrics-listen", &busy], &[], 64, "in use");
    refused(&["--listen", "8080"], &[], 64, "is not an address");
    refused(&["--listen", "192.0.2.1:80"], &[], 64, "cannot listen");
    refused(&["--provider", "docker"], &[], 64, "docker");
    refused(&["--provider", "remote"], &[], 64, "--provider-url");
    refused(&["--provider", "memory", "--provider-url", "http://127.0.0.1:1"], &[], 64, "--provider-url");
    refused(&["--provider-url", "nonsense://x"], &[], 64, "is not an address");
    refused(&["--no-such-flag"], &[], 64, "--no-such-flag");
    refused(&["--config", "/no/such/file"], &[], 64, "/no/such/file");
    refused(&[], &[("MINKE_LITSEN", "x")], 64, "unknown variable MINKE_LITSEN");
    refused(&[], &[("MINKE_NO_AUTH", "perhaps")], 64, "MINKE_NO_AUTH");
    refused(&[], &[("MINKE_LOG_FORMAT", "xml")], 64, "text or json");
    refused(&[], &[("secret_mount_path", "/no/such/folder")], 64, "/no/such/folder");
}

#[test]
fn an_unknown_key_of_the_file_is_told_with_its_place() {
    let dir = data_dir();
    let file = dir.path().join("minke.yaml");
    fs::write(&file, "listen: 127.0.0.1:0\nlitsen: x\n").unwrap();
    refused(&["--config", file.to_str().unwrap()], &[], 64, "litsen");
}

#[test]
fn a_data_directory_that_cannot_be_is_told() {
    let dir = data_dir();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let output = up(&file, &[], &[]);
    assert_eq!(output.status.code(), Some(64), "{}", String::from_utf8_lossy(&output.stderr));
    let output = up(Path::new("/proc/minke"), &[], &[]);
    assert_eq!(output.status.code(), Some(64), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn two_platforms_do_not_share_a_data_directory() {
    let dir = data_dir();
    let platform = Platform::start(dir.path());
    let output = up(dir.path(), &[], &[]);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(64), "{stderr}");
    assert!(stderr.contains("another"), "{stderr}");
    assert!(platform.stop().success());
}

#[test]
fn without_root_containers_are_refused_and_memory_works() {
    let dir = data_dir();
    std::os::unix::fs::chown(dir.path(), Some(65534), Some(65534)).unwrap();
    let nobody = |args: &[&str]| {
        use std::os::unix::process::CommandExt;
        let mut command = minke(&dir.path().join("data"), &["up", "--listen", "127.0.0.1:0"]);
        command.args(["--metrics-listen", "127.0.0.1:0"]).args(args).uid(65534).gid(65534);
        command
    };
    let output = nobody(&[]).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(64), "{stderr}");
    assert!(stderr.contains("root"), "{stderr}");
    assert!(!dir.path().join("data").exists());
}
