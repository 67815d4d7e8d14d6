//! Mode http: what reaches the function's server, and what comes back.

use std::io::Write;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::upstream::Upstream;
use crate::watchdog::Watchdog;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn the_request_passes_unchanged() {
    let upstream = Upstream::fixed(OK);
    let watchdog = upstream.watchdog(&[]);
    let headers =
        [("x-lower-thing", "1"), ("X-Many", "a"), ("X-Many", "b"), ("x_under", "2"), ("X-Call-Id", "id")];
    let reply = watchdog.send("PURGE", "/a%20b/..//c/?q=%2f&q=%zz", &headers, b"body");
    assert_eq!((reply.status, reply.text().as_str()), (200, "ok"));
    let seen = upstream.seen();
    assert_eq!(seen.line, "PURGE /a%20b/..//c/?q=%2f&q=%zz HTTP/1.1");
    assert_eq!(seen.body, b"body");
    assert_eq!((seen.header("host"), seen.header("content-length")), (Some("a.test"), Some("4")));
    for line in ["X-Lower-Thing: 1", "X-Many: a", "X-Many: b", "X_under: 2", "X-Call-Id: id"] {
        assert!(seen.headers.iter().any(|header| header == line), "{line} is not in {:?}", seen.headers);
    }
    assert_eq!((seen.header("connection"), seen.header("transfer-encoding")), (None, None));
    assert_eq!((seen.header("user-agent"), seen.header("x-forwarded-for")), (None, None));
}

#[test]
fn the_framing_of_the_body_is_kept() {
    let upstream = Upstream::fixed(OK);
    let check = |variables: &[(&str, &str)], framing: &str, expected: (Option<&str>, Option<&str>)| {
        let watchdog = upstream.watchdog(variables);
        let mut connection = watchdog.open();
        connection.write(&format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}"));
        assert_eq!(connection.reply(false).expect("reply").status, 200, "{framing:?}");
        let seen = upstream.seen();
        assert_eq!(
            (seen.header("content-length"), seen.header("transfer-encoding")),
            expected,
            "{framing:?}"
        );
    };
    let chunked = "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    check(&[], "Content-Length: 3\r\n\r\nabc", (Some("3"), None));
    check(&[], "Content-Length: 0\r\n\r\n", (Some("0"), None));
    check(&[], chunked, (None, Some("chunked")));
    check(&[("http_buffer_req_body", "true")], chunked, (Some("3"), None));
    check(&[("buffer_http", "1")], "Content-Length: 3\r\n\r\nabc", (Some("3"), None));
}

#[test]
fn the_answer_passes_unchanged() {
    let upstream = Upstream::fixed(
        "HTTP/1.1 418 Odd\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Duration-Seconds: mine\r\nContent-Length: 3\r\n\r\ntea",
    );
    let reply = upstream.watchdog(&[]).get("/");
    assert_eq!((reply.status, reply.text().as_str()), (418, "tea"));
    assert_eq!(reply.all("set-cookie"), ["a=1", "b=2"]);
    let duration = reply.all("x-duration-seconds");
    assert!(duration.len() == 1 && duration[0].parse::<f64>().is_ok(), "{duration:?}");
    assert_eq!(reply.header("x-openfaas-internal"), None);
}

#[test]
fn redirects_are_not_followed() {
    let upstream = Upstream::fixed("HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n");
    let reply = upstream.watchdog(&[]).get("/a");
    assert_eq!((reply.status, reply.header("location")), (302, Some("/b")));
}

#[test]
fn the_answer_to_head_keeps_its_length() {
    let upstream = Upstream::fixed("HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n");
    let watchdog = upstream.watchdog(&[]);
    for _ in 0..2 {
        let reply = watchdog.send("HEAD", "/", &[], b"");
        assert_eq!((reply.status, reply.header("content-length")), (200, Some("17")));
    }
}

#[test]
fn a_slow_function_is_a_504_in_time() {
    let upstream = Upstream::start(|_, _| {
        std::thread::park();
        false
    });
    let check = |exec_timeout: &str, x_timeout: &str, least_ms: u64, most_ms: u64| {
        let watchdog = upstream.watchdog(&[("exec_timeout", exec_timeout)]);
        let began = Instant::now();
        let reply = watchdog.send("GET", "/", &[("X-Timeout", x_timeout)], b"");
        let took = began.elapsed();
        assert_eq!((reply.status, reply.body.len()), (504, 0), "{x_timeout}");
        assert_eq!(reply.header("x-openfaas-internal"), Some("of-watchdog"), "{x_timeout}");
        assert!(reply.header("x-duration-seconds").is_some(), "{x_timeout}");
        let bounds = Duration::from_millis(least_ms)..Duration::from_millis(most_ms);
        assert!(bounds.contains(&took), "{x_timeout}: {took:?}");
    };
    check("10s", "300ms", 300, 9_000);
    for ignored in ["5s", "300", "bogus", "0s", "-1s", "", "9999999h"] {
        check("400ms", ignored, 400, 4_000);
    }
}

#[test]
fn the_504_comes_even_when_write_timeout_is_the_same() {
    let upstream = Upstream::start(|_, _| {
        std::thread::park();
        false
    });
    let watchdog = upstream.watchdog(&[("exec_timeout", "300ms"), ("write_timeout", "300ms")]);
    for _ in 0..5 {
        assert_eq!(watchdog.get("/").status, 504);
    }
    let watchdog =
        Watchdog::start(&[("fprocess", "sleep 1000"), ("exec_timeout", "300ms"), ("write_timeout", "300ms")]);
    for _ in 0..5 {
        assert_eq!(watchdog.get("/").status, 504);
    }
}

#[test]
fn a_request_framed_twice_reaches_the_function_framed_once() {
    let upstream = Upstream::fixed(OK);
    let watchdog = upstream.watchdog(&[]);
    for heads in [
        "Content-Length: 30\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 30",
    ] {
        let mut connection = watchdog.open();
        connection.write(&format!("POST / HTTP/1.1\r\nHost: a\r\n{heads}\r\n\r\n3\r\nabc\r\n0\r\n\r\n"));
        match connection.reply(false).expect("reply").status {
            200 => {
                let seen = upstream.seen();
                assert_eq!((seen.header("content-length"), seen.body.as_slice()), (None, &b"abc"[..]));
            }
            status => assert_eq!(status, 400),
        }
    }
}

#[test]
fn odd_requests_have_clear_answers() {
    let upstream = Upstream::fixed(OK);
    let http = upstream.watchdog(&[]);
    assert_eq!(http.send("OPTIONS", "*", &[], b"").status, 200);
    assert_eq!(upstream.seen().line, "OPTIONS * HTTP/1.1");
    assert_eq!(http.get("http://other.test/p?q").status, 200);
    assert_eq!(upstream.seen().line, "GET /p?q HTTP/1.1");
    assert_eq!(http.send("CONNECT", "a:1", &[], b"").status, 405);
    assert_eq!(http.send("GET", "/", &[("X-Long", &"x".repeat(2 << 20))], b"").status, 431);
    let many: Vec<_> = (0..400).map(|number| (format!("X-{number}"), "v")).collect();
    let many: Vec<_> = many.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    assert_eq!(http.send("GET", "/", &many, b"").status, 200);
    let forking = Watchdog::start(&[("fprocess", "cat")]);
    for (method, target) in [("OPTIONS", "*"), ("CONNECT", "a:1"), ("PURGE", "//x/../y")] {
        assert_eq!(forking.send(method, target, &[], b"").status, 200, "{method}");
    }
}

#[test]
fn a_function_that_is_down_is_a_500() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("port");
    let url = format!("http://{}", listener.local_addr().expect("address"));
    drop(listener);
    let variables = [("mode", "http"), ("fprocess", "sleep 1000"), ("upstream_url", &url)];
    let watchdog = Watchdog::start(&[&variables[..], &[("upstream_start_timeout", "50ms")]].concat());
    let reply = watchdog.post("/", b"x");
    assert_eq!((reply.status, reply.body.len()), (500, 0));
    assert_eq!(reply.header("x-openfaas-internal"), Some("of-watchdog"));
    assert!(reply.header("x-duration-seconds").is_some());
}

#[test]
fn a_connection_that_dies_before_the_answer_is_a_500() {
    let upstream = Upstream::start(|_, _| false);
    let watchdog = upstream.watchdog(&[]);
    let reply = watchdog.post("/", b"x");
    assert_eq!((reply.status, reply.header("x-openfaas-internal")), (500, Some("of-watchdog")));
}

#[test]
fn servers_that_close_silently_lose_no_call() {
    let upstream = Upstream::start(|_, stream| {
        stream.write_all(OK.as_bytes()).expect("write");
        false
    });
    let watchdog = upstream.watchdog(&[]);
    let mut connection = watchdog.open();
    for call in 0..200 {
        connection.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(connection.reply(false).expect("reply").status, 200, "call {call}");
    }
}

#[test]
fn early_calls_wait_for_the_functions_port() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("port");
    let address = listener.local_addr().expect("address");
    drop(listener);
    let url = format!("http://{address}");
    let watchdog = Watchdog::start(&[("mode", "http"), ("fprocess", "sleep 1000"), ("upstream_url", &url)]);
    assert_eq!(watchdog.get("/_/health").status, 503);
    assert_eq!(watchdog.get("/_/ready").status, 503);
    assert!(!watchdog.lock().exists());
    let mut early = watchdog.open();
    early.write("GET /early HTTP/1.1\r\nHost: a\r\n\r\n");
    let upstream = Upstream::on(TcpListener::bind(address).expect("the same port"), |_, stream| {
        stream.write_all(OK.as_bytes()).is_ok()
    });
    assert_eq!(early.reply(false).expect("reply").status, 200);
    assert_eq!(upstream.seen().line, "GET /early HTTP/1.1");
    watchdog.wait_healthy();
    assert!(watchdog.lock().exists());
}
