//! The command line and the settings that end the start, each with its code and words.

use std::net::TcpListener;

use crate::watchdog::run;

#[test]
fn flags_follow_go() {
    let (code, stdout, stderr) = run(&[], &["--version"]);
    assert_eq!((code, stdout.as_str(), stderr.lines().count()), (0, "", 1));
    assert!(stderr.contains(concat!("Version: ", env!("CARGO_PKG_VERSION"), "\tSHA: ")), "{stderr}");
    let (code, _, stderr) = run(&[], &["--nope"]);
    assert_eq!(code, 2);
    assert!(stderr.contains("not defined: -nope") && stderr.contains("Usage"), "{stderr}");
    let (code, stdout, stderr) = run(&[], &["-h"]);
    assert_eq!((code, stdout.as_str()), (0, ""));
    assert!(stderr.starts_with("Usage"), "{stderr}");
}

#[test]
fn what_cannot_start_says_why() {
    let check = |variables: &[(&str, &str)], code: i32, word: &str| {
        let (seen, _, stderr) = run(variables, &[]);
        assert_eq!(seen, code, "{variables:?}: {stderr}");
        assert!(stderr.contains(word), "{variables:?}: {stderr}");
    };
    check(&[], 1, "fprocess");
    check(&[("fprocess", "cat"), ("mode", "static")], 2, "static");
    check(&[("fprocess", "cat"), ("mode", "inproc")], 2, "inproc");
    check(&[("fprocess", "cat"), ("mode", "afterburn")], 2, "afterburn");
    check(&[("fprocess", "cat"), ("mode", "nonsense")], 2, "nonsense");
    check(&[("fprocess", "cat"), ("mode", "http")], 1, "upstream_url");
    check(&[("fprocess", "cat"), ("port", "")], 1, "port");
    check(&[("fprocess", "cat"), ("write_timeout", "0")], 1, "write_timeout");
    check(&[("fprocess", "cat"), ("jwt_auth", "true")], 1, "jwt_auth");
    let http = [("mode", "http"), ("upstream_url", "http://127.0.0.1:1"), ("fprocess", "/no/such")];
    check(&http, 1, "no such file");
    let taken = TcpListener::bind("[::]:0").expect("port");
    let port = taken.local_addr().expect("address").port().to_string();
    check(&[("fprocess", "cat"), ("port", &port)], 1, &format!("cannot listen on port {port}"));
}
