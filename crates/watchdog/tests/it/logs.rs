//! What is written, and that writing never stops the function.

use std::path::Path;

use crate::upstream::Upstream;
use crate::watchdog::Watchdog;

#[test]
fn long_lines_stop_nothing() {
    let upstream = Upstream::fixed("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let text = "head -c 1048576 /dev/zero | tr '\\0' x >&2; echo >&2; echo after >&2
                while [ ! -e $TMPDIR/go ]; do sleep 0.02; done; echo at the end >&2; sleep 1000";
    let watchdog = Watchdog::script(text, &[("mode", "http"), ("upstream_url", upstream.url.as_str())]);
    watchdog.wait_healthy();
    watchdog.wait_line("stderr: after");
    let long: usize = watchdog
        .lines()
        .iter()
        .filter(|line| line.ends_with('x'))
        .map(|line| line.split("stderr: ").nth(1).map_or(0, str::len))
        .sum();
    assert_eq!(long, 1_048_576, "not a byte of the long line is lost");
    let mut connection = watchdog.open();
    for _ in 0..1_000 {
        connection.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(connection.reply(false).expect("reply").status, 200);
    }
    std::fs::write(watchdog.folder.path().join("go"), "").expect("go");
    watchdog.wait_line("stderr: at the end");
}

#[test]
fn lines_are_prefixed_unless_told_otherwise() {
    let text = "echo to the log >&2; printf unended >&2; echo answer";
    let watchdog = Watchdog::script(text, &[]);
    assert_eq!(watchdog.get("/").text(), "answer\n");
    let line = watchdog.wait_line("stderr: to the log");
    let bytes = line.as_bytes();
    assert!(
        line.len() == "2006/01/02 15:04:05 stderr: to the log".len() && bytes[4] == b'/' && bytes[13] == b':',
        "{line}"
    );
    watchdog.wait_line("stderr: unended");

    let watchdog = Watchdog::script(text, &[("prefix_logs", "false")]);
    assert_eq!(watchdog.get("/").status, 200);
    assert_eq!(watchdog.wait_line("to the log"), "to the log");
}

#[test]
fn each_call_has_its_line_without_its_query() {
    let upstream = Upstream::fixed("HTTP/1.1 200 OK\r\nContent-Length: 256\r\n\r\n");
    let watchdog = upstream.watchdog(&[("log_callid", "true")]);
    watchdog.send("HEAD", "/path?token=secret", &[("X-Call-Id", "c-1")], b"");
    let line = watchdog.wait_line("HEAD /path - 200 OK - ContentLength: 256B (");
    assert!(line.ends_with("s) [c-1]"), "{line}");
    watchdog.send("HEAD", "/probe", &[("User-Agent", "kube-probe/1.30")], b"");
    watchdog.send("HEAD", "/last", &[], b"");
    watchdog.wait_line("HEAD /last - 200 OK - ContentLength: 256B");
    let all = watchdog.lines().join("\n");
    assert!(!all.contains("secret") && !all.contains("/probe") && !all.contains("/_/health"), "{all}");

    let watchdog = Watchdog::start(&[("fprocess", "cat")]);
    watchdog.post("/", &[b'x'; 1_530]);
    watchdog.wait_line("POST / - 200 - ContentLength: 1.53kB (");
}

#[test]
fn processes_and_pipes_do_not_pile_up() {
    let watchdog = Watchdog::start(&[("fprocess", "cat")]);
    let open = |pid: u32| std::fs::read_dir(format!("/proc/{pid}/fd")).expect("fd").count();
    watchdog.post("/", b"first");
    let before = open(watchdog.pid());
    for _ in 0..300 {
        assert_eq!(watchdog.post("/", b"again").text(), "again");
    }
    crate::watchdog::eventually("descriptors are given back", || open(watchdog.pid()) <= before);
    let children = format!("/proc/{0}/task/{0}/children", watchdog.pid());
    if Path::new(&children).exists() {
        crate::watchdog::eventually("processes are reaped", || {
            std::fs::read_to_string(&children).expect("children").trim().is_empty()
        });
    }
}
