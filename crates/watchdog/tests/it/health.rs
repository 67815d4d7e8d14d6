//! Health, readiness, the lock file, and the limit of calls at a time.

use std::io::Write;
use std::sync::Mutex;
use std::sync::mpsc::channel;

use crate::upstream::Upstream;
use crate::watchdog::{Watchdog, eventually, run};

#[test]
fn health_follows_the_lock_file() {
    let watchdog = Watchdog::start(&[("fprocess", "cat")]);
    watchdog.wait_healthy();
    let reply = watchdog.get("/_/health");
    assert_eq!((reply.status, reply.text().as_str()), (200, "OK"));
    for method in ["POST", "HEAD", "PUT"] {
        assert_eq!(watchdog.send(method, "/_/health", &[], b"").status, 405, "{method}");
        assert_eq!(watchdog.send(method, "/_/ready", &[], b"").status, 405, "{method}");
    }
    assert_eq!(watchdog.get("/_/ready").status, 200);
    // Exact paths only: these go to the function.
    for path in ["/_/health/", "/_/other"] {
        assert_eq!(watchdog.post(path, b"echo").text(), "echo", "{path}");
    }
    std::fs::remove_file(watchdog.lock()).expect("lock file");
    for path in ["/_/health", "/_/ready"] {
        let reply = watchdog.get(path);
        assert_eq!((reply.status, reply.body.len()), (503, 0), "{path}");
    }
    assert_eq!(watchdog.post("/", b"still served").text(), "still served");
}

#[test]
fn a_suppressed_lock_leaves_health_alone() {
    let watchdog =
        Watchdog::start(&[("fprocess", "cat"), ("suppress_lock", "true"), ("TMPDIR", "/proc/nowhere")]);
    watchdog.wait_healthy();
    assert_eq!(watchdog.get("/_/ready").status, 200);
}

#[test]
fn a_lock_that_cannot_be_written_is_told() {
    let (code, _, stderr) = run(&[("fprocess", "cat"), ("TMPDIR", "/proc/nowhere")], &[]);
    assert_eq!(code, 1);
    assert!(stderr.contains("/proc/nowhere/.lock") && stderr.contains("suppress_lock"), "{stderr}");
}

#[test]
fn the_healthcheck_flag_asks_for_the_lock_file() {
    let watchdog = Watchdog::start(&[("fprocess", "cat")]);
    watchdog.wait_healthy();
    let folder = watchdog.folder.path().to_str().expect("path");
    for flag in ["--run-healthcheck", "-run-healthcheck=true"] {
        assert_eq!(run(&[("TMPDIR", folder)], &[flag]), (0, String::new(), String::new()));
    }
    std::fs::remove_file(watchdog.lock()).expect("lock file");
    let (code, stdout, stderr) = run(&[("TMPDIR", folder)], &["--run-healthcheck"]);
    assert_eq!((code, stdout.as_str(), stderr.lines().count()), (1, "", 1), "{stderr}");
}

#[test]
fn calls_over_the_limit_are_refused() {
    let (go, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    let upstream = Upstream::start(move |_, stream| {
        // The end of the channel lets every call go on.
        let _ = wait.lock().expect("wait").recv();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").is_ok()
    });
    let watchdog = upstream.watchdog(&[("max_inflight", "1")]);
    let mut slow = watchdog.open();
    slow.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    upstream.seen();
    let reply = watchdog.get("/");
    assert_eq!(reply.status, 429);
    assert_eq!(reply.text(), "Concurrent request limit exceeded. Max concurrent requests: 1\n");
    assert_eq!(reply.header("content-type"), Some("text/plain"));
    assert_eq!(reply.header("x-openfaas-internal"), Some("faas-middleware"));
    let ready = watchdog.get("/_/ready");
    assert_eq!((ready.status, ready.body.len()), (429, 0));
    assert_eq!(watchdog.get("/_/health").status, 200);
    drop(go);
    assert_eq!(slow.reply(false).expect("reply").status, 200);
    eventually("the place is free again", || watchdog.get("/").status == 200);
}

#[test]
fn readiness_may_be_the_functions_own() {
    let upstream = Upstream::fixed("HTTP/1.1 503 Busy\r\nX-Why: warming\r\nContent-Length: 4\r\n\r\nwarm");
    let watchdog = upstream.watchdog(&[("ready_path", "/x?deep=1"), ("max_inflight", "1")]);
    let reply = watchdog.send("GET", "/_/ready?dropped=1", &[("X-Probe", "yes")], b"");
    assert_eq!((reply.status, reply.text().as_str(), reply.header("x-why")), (503, "warm", Some("warming")));
    let seen = upstream.seen();
    assert_eq!((seen.line.as_str(), seen.header("x-probe")), ("GET /x?deep=1 HTTP/1.1", Some("yes")));
    assert_eq!(seen.header("host").map(|host| format!("http://{host}")), Some(upstream.url.clone()));

    let forking = Watchdog::start(&[("fprocess", "false"), ("ready_path", "/r")]);
    assert_eq!(forking.get("/_/ready").status, 500);
    let forking = Watchdog::script("echo $Http_Path", &[("ready_path", "/r")]);
    forking.wait_healthy();
    assert_eq!(forking.get("/_/ready").text(), "/r\n");
}
