//! Starting, crashing, and leaving in order.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::mpsc::channel;

use rustix::process::Signal;

use crate::upstream::Upstream;
use crate::watchdog::{Watchdog, eventually, is_alive};

#[test]
fn sigterm_serves_then_drains_then_leaves() {
    let (go, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    let upstream = Upstream::start(move |seen, stream| {
        if seen.line.starts_with("GET /slow") {
            wait.lock().expect("wait").recv().expect("told to go on");
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").is_ok()
    });
    let mut watchdog = upstream.watchdog(&[("healthcheck_interval", "3s")]);
    let mut slow = watchdog.open();
    slow.write("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    upstream.seen();

    watchdog.signal(Signal::TERM);
    watchdog.wait_line("SIGTERM: no new connections in 3s");
    assert_eq!(watchdog.get("/_/health").status, 503);
    assert_eq!(watchdog.get("/_/ready").status, 503);
    assert!(!watchdog.lock().exists());
    assert_eq!(watchdog.get("/").status, 200, "calls are served until the interval is over");

    watchdog.wait_line("No new connections allowed, draining: 1 requests");
    assert!(TcpStream::connect(("127.0.0.1", watchdog.port)).is_err());
    go.send(()).expect("slow call waits");
    let reply = slow.reply(false).expect("reply");
    assert_eq!((reply.status, reply.text().as_str()), (200, "ok"));
    assert_eq!(watchdog.wait_exit().code(), Some(0));
    watchdog.wait_line("Exiting. Active connections: 0");
}

#[test]
fn an_idle_watchdog_leaves_at_once() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut watchdog = Watchdog::start(&[("fprocess", "cat")]);
        watchdog.wait_healthy();
        let _idle = watchdog.open();
        watchdog.signal(signal);
        assert_eq!(watchdog.wait_exit().code(), Some(0));
        assert!(!watchdog.lock().exists());
    }
}

#[test]
fn the_function_hears_of_the_end_only_after_the_last_call() {
    let upstream = Upstream::fixed("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let text = "trap 'echo heard; exit 1' TERM; echo $$ > $TMPDIR/pid; while :; do sleep 0.05; done";
    let variables =
        [("mode", "http"), ("upstream_url", upstream.url.as_str()), ("healthcheck_interval", "2s")];
    let mut watchdog = Watchdog::script(text, &variables);
    watchdog.wait_healthy();
    eventually("the function runs", || watchdog.folder.path().join("pid").exists());
    watchdog.signal(Signal::TERM);
    watchdog.wait_line("SIGTERM");
    assert_eq!(watchdog.get("/").status, 200);
    assert!(!watchdog.lines().iter().any(|line| line.contains("heard")));
    assert_eq!(watchdog.wait_exit().code(), Some(0), "ending on SIGTERM is no crash");
    watchdog.wait_line("stdout: heard");
}

#[test]
fn draining_ends_at_write_timeout() {
    let mut watchdog = Watchdog::script("echo $$ > $TMPDIR/pid; sleep 1000", &[("write_timeout", "2s")]);
    watchdog.wait_healthy();
    let mut stuck = watchdog.open();
    stuck.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let path = watchdog.folder.path().join("pid");
    eventually("the function runs", || std::fs::read_to_string(&path).is_ok_and(|text| text.ends_with('\n')));
    let process = std::fs::read_to_string(&path).expect("pid").trim().parse().expect("number");
    watchdog.signal(Signal::TERM);
    assert_eq!(watchdog.wait_exit().code(), Some(0));
    eventually("nothing stays behind", || !is_alive(process));
}

#[test]
fn a_function_that_ends_takes_the_watchdog_with_it() {
    let upstream = Upstream::fixed("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    for (code, told) in [("3", "exit status 3"), ("0", "exit status 0")] {
        let text = format!(
            "sleep 1000 & echo $! > $TMPDIR/pid\nwhile [ ! -e $TMPDIR/go ]; do sleep 0.02; done; exit {code}"
        );
        let mut watchdog =
            Watchdog::script(&text, &[("mode", "http"), ("upstream_url", upstream.url.as_str())]);
        watchdog.wait_healthy();
        assert!(watchdog.lock().exists());
        std::fs::write(watchdog.folder.path().join("go"), "").expect("go");
        assert_eq!(watchdog.wait_exit().code(), Some(1));
        assert!(!watchdog.lock().exists());
        watchdog.wait_line(told);
        let rest = std::fs::read_to_string(watchdog.folder.path().join("pid")).expect("pid");
        let rest = rest.trim().parse().expect("number");
        eventually("its own processes end too", || !is_alive(rest));
    }
}

#[test]
fn a_caller_who_does_not_read_is_cut_off() {
    let watchdog =
        Watchdog::start(&[("fprocess", "cat /dev/zero"), ("write_timeout", "2s"), ("max_inflight", "1")]);
    watchdog.wait_healthy();
    let mut lazy = watchdog.open();
    lazy.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("its place is taken", || watchdog.get("/_/ready").status == 429);
    eventually("its place is free again", || watchdog.get("/_/ready").status == 200);
}

#[test]
fn a_request_that_never_ends_is_cut_off() {
    let watchdog = Watchdog::start(&[("fprocess", "cat"), ("read_timeout", "1s")]);
    let mut idle = watchdog.open();
    assert_eq!(idle.line(), None, "an idle connection is closed");
    let mut half = watchdog.open();
    half.write("GET / HTTP/1.1\r\nHost:");
    assert_eq!(half.line(), None, "half a header is not waited for");
    let mut short = watchdog.open();
    short.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf");
    let reply = short.reply(false).expect("reply");
    assert_eq!((reply.status, reply.text().as_str()), (200, "half"));

    let upstream = Upstream::fixed("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let watchdog = upstream.watchdog(&[("read_timeout", "1s")]);
    let mut short = watchdog.open();
    short.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf");
    assert_eq!(short.reply(false).expect("reply").status, 504);
}
