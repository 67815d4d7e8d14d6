//! The access log of the whole program: off, to a file, and what cannot be one.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::support::Place;

fn call(url: &str) {
    let authority = url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(authority).expect("it listens");
    let request = format!(
        "GET /function/nobody?token=s3cret HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).expect("it takes a request");
    stream.read_to_string(&mut String::new()).expect("text");
}

#[test]
fn lines_are_in_the_file_when_the_platform_has_ended() {
    for (flags, variable, form) in [
        (&["--access-log", "json"][..], "", "json"),
        (&[], "text", "text"),
        (&["--access-log", "off"], "json", "off"),
    ] {
        let place = Place::new().with("MINKE_ACCESS_LOG", variable);
        let file = place.path("access.log");
        let place = place.with("MINKE_ACCESS_LOG_FILE", file.display());
        let platform = place.platform(&[flags, &["--no-auth"]].concat());
        call(&platform.url);
        platform.stop();
        let written = std::fs::read_to_string(&file).unwrap_or_default();
        match form {
            "off" => assert!(!file.exists(), "{written}"),
            "json" => {
                assert!(written.starts_with("{\"time\":\"") && written.lines().count() == 1, "{written}")
            }
            _ => assert!(written.contains(" GET /function/nobody 404 "), "{written}"),
        }
        assert!(!written.contains("s3cret"));
    }
}

#[test]
fn what_cannot_be_a_log_is_refused() {
    let check = |flags: &[&str], message: &str| {
        let place = Place::new();
        let data = place.path("data");
        let up = ["up", "--provider", "memory", "--no-auth", "--listen", "127.0.0.1:0", "--metrics-listen"];
        let data = ["127.0.0.1:0", "--data-dir", data.to_str().expect("a path")];
        let outcome = place.run(&[&up[..], &data[..], flags].concat());
        assert_eq!(outcome.code, Some(64), "{outcome:?}");
        assert!(outcome.stderr.contains(message), "{outcome:?}");
    };
    check(&["--access-log", "xml"], "off, text or json");
    check(&["--access-log", "text", "--access-log-file", "/no/such/folder/log"], "--access-log-file");
}
