//! Modes streaming and serializing: one process a request.

use std::net::Shutdown;
use std::time::{Duration, Instant};

use crate::watchdog::{Watchdog, eventually, is_alive};

fn streaming(fprocess: &str) -> Watchdog {
    Watchdog::start(&[("fprocess", fprocess)])
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index % 251) as u8).collect()
}

/// A process id that the function writes to `pid` in its folder.
fn written_pid(watchdog: &Watchdog) -> u32 {
    let path = watchdog.folder.path().join("pid");
    let mut pid = None;
    eventually("the function tells its process id", || {
        pid = std::fs::read_to_string(&path).ok().filter(|text| text.ends_with('\n'));
        pid.is_some()
    });
    pid.expect("text").trim().parse().expect("number")
}

#[test]
fn bodies_of_any_size_come_back_byte_for_byte() {
    let watchdog = streaming("cat");
    for length in [0, 1, 65_536, 131_072, 300_000, 1 << 20, 64 << 20] {
        let body = pattern(length);
        let reply = watchdog.post("/", &body);
        assert_eq!((reply.status, reply.whole, reply.body.len()), (200, true, length));
        assert!(reply.body == body, "{length} bytes came back changed");
        assert_eq!(reply.header("content-type"), Some("application/octet-stream"));
        assert_eq!(reply.header("x-duration-seconds"), None);
    }
}

#[test]
fn input_and_output_flow_at_the_same_time() {
    let watchdog = streaming("cat");
    let mut connection = watchdog.open();
    connection.write("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (index, piece) in ["one", "two", "six"].into_iter().enumerate() {
        connection.write(&format!("3\r\n{piece}\r\n"));
        if index == 0 {
            assert_eq!(connection.head().expect("head before the end of the request").status, 200);
        }
        assert_eq!(connection.chunk().expect("chunk"), piece.as_bytes());
    }
    connection.write("0\r\n\r\n");
    assert_eq!(connection.chunk().expect("end"), b"");
}

#[test]
fn the_request_is_in_the_environment() {
    let watchdog = Watchdog::start(&[("fprocess", "env"), ("own", "kept"), ("content_type", "text/plain")]);
    let headers = [
        ("x-call-id", "7"),
        ("Proxy", "http://evil"),
        ("Query", "spoof"),
        ("Method", "spoof"),
        ("Accept", "a"),
        ("Accept", "b"),
    ];
    let reply = watchdog.send("PUT", "/a%20b?x=%31", &headers, b"12345");
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("text/plain")));
    let text = reply.text();
    let mut request: Vec<_> = text.lines().filter(|line| line.starts_with("Http_")).collect();
    request.sort_unstable();
    assert_eq!(
        request,
        [
            "Http_Accept=a",
            "Http_Connection=close",
            "Http_Content_Length=5",
            "Http_Method=PUT",
            "Http_Path=/a b",
            "Http_Query=x=%31",
            "Http_X_Call_Id=7",
        ]
    );
    assert!(text.lines().any(|line| line == "own=kept") && text.lines().any(|line| line == "fprocess=env"));

    let plain = watchdog.send("GET", "/", &[("Query", "spoof")], b"").text();
    assert!(!plain.contains("Http_Query") && !plain.contains("Http_Content_Length"), "{plain}");

    let mut connection = watchdog.open();
    connection.write("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    let chunked = connection.reply(false).expect("reply").text();
    assert!(chunked.contains("Http_Transfer_Encoding=chunked\n"), "{chunked}");
}

#[test]
fn what_cannot_be_handed_over_is_refused() {
    let watchdog = streaming("cat");
    let long = "x".repeat(130_000);
    assert_eq!(watchdog.send("GET", "/", &[("X-Long", &long)], b"").status, 431);
    assert_eq!(watchdog.get("/%00").status, 400);
    let broken = watchdog.get("/%zz");
    assert_eq!((broken.status, broken.text().as_str()), (400, "400 Bad Request"));
    assert_eq!(watchdog.get("/?%zz").status, 200);
}

#[test]
fn arguments_are_split_at_single_spaces() {
    let reply = streaming("printf [%s] a  \"b c\" $HOME").get("/");
    assert_eq!(reply.text(), "[a][][\"b][c\"][$HOME]");
}

#[test]
fn a_failure_before_any_output_has_an_honest_status() {
    let check = |watchdog: Watchdog, status: u16| {
        let reply = watchdog.post("/", b"x");
        assert_eq!((reply.status, reply.header("x-openfaas-internal")), (status, Some("of-watchdog")));
    };
    check(streaming("/no/such/program"), 500);
    check(streaming("no-such-program"), 500);
    check(streaming("false"), 500);
    check(Watchdog::script("kill -9 $$", &[]), 500);
    check(Watchdog::start(&[("fprocess", "sleep 1000"), ("exec_timeout", "100ms")]), 504);
}

#[test]
fn a_failure_after_output_does_not_look_whole() {
    let check = |text: &str| {
        let watchdog = Watchdog::script(text, &[("exec_timeout", "500ms")]);
        let mut connection = watchdog.open();
        connection.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let whole = connection.reply(false).is_some_and(|reply| reply.whole);
        assert!(!whole, "{text}");
    };
    check("echo part; exit 3");
    check("echo part; kill -9 $$");
    check("echo part; sleep 1000");
}

#[test]
fn a_function_may_leave_its_input_unread() {
    for mode in ["streaming", "serializing"] {
        let watchdog = Watchdog::start(&[("fprocess", "echo done"), ("mode", mode)]);
        for _ in 0..20 {
            let reply = watchdog.post("/", &pattern(1 << 20));
            assert_eq!((reply.status, reply.text().as_str()), (200, "done\n"), "{mode}");
        }
    }
}

#[test]
fn head_runs_the_function_and_answers_without_a_body() {
    let watchdog = Watchdog::script("echo out; echo ran > $TMPDIR/ran", &[]);
    let reply = watchdog.send("HEAD", "/", &[], b"");
    assert_eq!(reply.status, 200);
    assert!(watchdog.folder.path().join("ran").exists());
}

#[test]
fn the_limit_holds_for_grandchildren_too() {
    for (mode, status) in [("streaming", 504), ("serializing", 500)] {
        let variables = [("mode", mode), ("exec_timeout", "500ms")];
        let text = "sleep 1000 & echo $! > $TMPDIR/pid; wait";
        let watchdog = Watchdog::script(text, &variables);
        let began = Instant::now();
        let reply = watchdog.get("/");
        let took = began.elapsed();
        assert_eq!(reply.status, status, "{mode}");
        assert!(took >= Duration::from_millis(500) && took < Duration::from_secs(3), "{mode}: {took:?}");
        let grandchild = written_pid(&watchdog);
        eventually("the grandchild is gone", || !is_alive(grandchild));
    }
}

#[test]
fn a_process_that_ignores_sigterm_is_killed() {
    let text = "trap '' TERM; echo $$ > $TMPDIR/pid; while :; do sleep 1; done";
    let watchdog = Watchdog::script(text, &[("exec_timeout", "300ms")]);
    assert_eq!(watchdog.get("/").status, 504);
    let stubborn = written_pid(&watchdog);
    eventually("it is killed", || !is_alive(stubborn));
}

#[test]
fn a_caller_who_leaves_ends_the_work() {
    for (mode, output) in [("streaming", "echo begun;"), ("streaming", ""), ("serializing", "")] {
        let text = format!("{output} echo $$ > $TMPDIR/pid; sleep 1000");
        let watchdog = Watchdog::script(&text, &[("mode", mode)]);
        let mut connection = watchdog.open();
        connection.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let process = written_pid(&watchdog);
        connection.stream().shutdown(Shutdown::Both).expect("leave");
        eventually("the process is gone", || !is_alive(process));
    }
}

#[test]
fn serializing_answers_with_everything_or_with_the_failure() {
    let check = |watchdog: Watchdog, status: u16, body: &str| {
        let reply = watchdog.post("/", b"in");
        assert_eq!((reply.status, reply.text().as_str()), (status, body));
        assert_eq!(reply.header("content-type"), Some("text/x"));
        assert!(reply.header("x-duration-seconds").is_some_and(|text| text.parse::<f64>().is_ok()));
    };
    let variables = [("mode", "serializing"), ("content_type", "text/x"), ("exec_timeout", "2s")];
    let with = |name, value| [&variables[..], &[(name, value)]].concat();
    check(Watchdog::start(&with("fprocess", "cat")), 200, "in");
    check(Watchdog::script("echo lost; exit 3", &variables), 500, "exit status 3");
    check(Watchdog::script("kill -11 $$", &variables), 500, "signal: segmentation fault");
    check(
        Watchdog::start(&with("fprocess", "/no/such")),
        500,
        "fork/exec /no/such: no such file or directory",
    );
    check(
        Watchdog::start(&with("fprocess", "no-such")),
        500,
        "exec: \"no-such\": executable file not found in $PATH",
    );
    check(Watchdog::script("sleep 1000", &with("exec_timeout", "100ms")), 500, "signal: killed");
}

#[test]
fn orphans_are_reaped() {
    let watchdog = Watchdog::script("(sh -c 'echo $$ > $TMPDIR/pid' >/dev/null 2>&1 &)", &[]);
    assert_eq!(watchdog.get("/").status, 200);
    let orphan = written_pid(&watchdog);
    eventually("no zombie is left", || !std::path::Path::new(&format!("/proc/{orphan}")).exists());
}
