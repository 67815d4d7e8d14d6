//! Mode http: answers that come in pieces, tunnels, and ends that must not look whole.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use crate::upstream::Upstream;
use crate::watchdog::eventually;

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

/// An upstream that sends one more chunk each time it is told to.
fn stepwise(content_type: &'static str) -> (Upstream, Sender<&'static str>) {
    let (sender, steps) = channel::<&'static str>();
    let steps = Mutex::new(steps);
    let upstream = Upstream::start(move |_, stream| {
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n\r\n");
        stream.write_all(head.as_bytes()).expect("head");
        while let Ok(step) = steps.lock().expect("steps").recv() {
            stream.write_all(chunk(step).as_bytes()).expect("chunk");
        }
        stream.write_all(b"0\r\n\r\n").is_ok()
    });
    (upstream, sender)
}

#[test]
fn each_piece_arrives_before_the_next_is_made() {
    for (content_type, accept) in
        [("text/event-stream", "text/event-stream"), ("application/x-ndjson", "*/*"), ("text/plain", "*/*")]
    {
        let (upstream, steps) = stepwise(content_type);
        let watchdog = upstream.watchdog(&[]);
        let mut connection = watchdog.open();
        connection.write(&format!("GET / HTTP/1.1\r\nHost: a\r\nAccept: {accept}\r\n\r\n"));
        let head = connection.head().expect("head before any chunk");
        assert_eq!(head.header("content-type"), Some(content_type));
        for piece in ["data: 1\n\n", "data: 2\n\n", "data: 3\n\n"] {
            steps.send(piece).expect("step");
            assert_eq!(connection.chunk().expect("chunk"), piece.as_bytes());
        }
        drop(steps);
        assert_eq!(connection.chunk().expect("end"), b"");
    }
}

#[test]
fn events_outlive_exec_timeout_and_name_the_caller() {
    let (upstream, steps) = stepwise("text/event-stream");
    let watchdog = upstream.watchdog(&[("exec_timeout", "50ms")]);
    let mut connection = watchdog.open();
    connection.write(
        "GET / HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\nX-Forwarded-For: 10.0.0.1\r\nConnection: close\r\n\r\n",
    );
    let head = connection.head().expect("head");
    assert_eq!(head.header("x-duration-seconds"), None);
    // Well past the limit, which is the point.
    std::thread::sleep(Duration::from_millis(150));
    steps.send("late").expect("step");
    drop(steps);
    assert_eq!(connection.chunk().expect("chunk"), b"late");
    assert_eq!(upstream.seen().header("x-forwarded-for"), Some("10.0.0.1, 127.0.0.1"));
}

#[test]
fn an_answer_cut_by_the_limit_does_not_look_whole() {
    let (upstream, steps) = stepwise("text/plain");
    let watchdog = upstream.watchdog(&[("exec_timeout", "1s")]);
    steps.send("part").expect("step");
    let reply = watchdog.get("/");
    assert_eq!((reply.status, reply.text().as_str(), reply.whole), (200, "part", false));
}

#[test]
fn an_answer_cut_by_its_server_does_not_look_whole() {
    for head in ["Transfer-Encoding: chunked\r\n\r\n4\r\npart\r\n", "Content-Length: 100\r\n\r\npart"] {
        let upstream = Upstream::start(move |_, stream| {
            stream.write_all(format!("HTTP/1.1 200 OK\r\n{head}").as_bytes()).expect("part");
            false
        });
        let reply = upstream.watchdog(&[]).get("/");
        assert_eq!((reply.status, reply.whole), (200, false), "{head}");
    }
}

#[test]
fn a_caller_who_leaves_ends_the_upstream_request() {
    let (left, seen) = channel();
    let left = Mutex::new(left);
    let upstream = Upstream::start(move |_, stream| {
        let ended = matches!(stream.read(&mut [0; 1]), Ok(0) | Err(_));
        left.lock().expect("left").send(ended).expect("told");
        false
    });
    let watchdog = upstream.watchdog(&[]);
    let mut connection = watchdog.open();
    connection.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    upstream.seen();
    connection.stream().shutdown(Shutdown::Both).expect("leave");
    assert_eq!(seen.recv_timeout(crate::watchdog::PATIENCE), Ok(true));
}

#[test]
fn websockets_become_tunnels() {
    fn echo(stream: &mut TcpStream) -> bool {
        let mut buffer = [0; 64];
        while let Ok(read @ 1..) = stream.read(&mut buffer) {
            stream.write_all(&buffer[..read]).expect("echo");
        }
        false
    }
    let upstream = Upstream::start(|seen, stream| {
        assert!(seen.header("upgrade").is_some_and(|value| value.eq_ignore_ascii_case("websocket")));
        assert_eq!(seen.header("connection"), Some("Upgrade"));
        let head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n";
        stream.write_all(head.as_bytes()).expect("head");
        echo(stream)
    });
    let watchdog =
        upstream.watchdog(&[("max_inflight", "1"), ("write_timeout", "300ms"), ("exec_timeout", "200ms")]);
    for spelling in ["websocket", "WebSocket"] {
        let mut connection = watchdog.open();
        connection.write(&format!(
            "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: {spelling}\r\nSec-WebSocket-Key: k\r\n\r\n"
        ));
        let head = connection.head().expect("head");
        assert_eq!((head.status, head.header("sec-websocket-accept")), (101, Some("x")));
        // Longer than every limit of plain calls.
        std::thread::sleep(Duration::from_millis(400));
        for word in ["one\r\n", "two\r\n"] {
            connection.write(word);
            assert_eq!(connection.line().as_deref(), word.strip_suffix("\r\n"));
        }
        assert_eq!(watchdog.get("/other").status, 429, "a tunnel holds its place");
        drop(connection);
        eventually("the place is free again", || watchdog.get("/_/ready").status == 200);
    }
}

#[test]
fn a_large_body_passes_both_ways_at_once() {
    let upstream = Upstream::start(|seen, stream| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", seen.body.len());
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&seen.body)).is_ok()
    });
    let watchdog = upstream.watchdog(&[]);
    let body: Vec<u8> = (0..5_000_000_u32).map(|number| (number % 251) as u8).collect();
    let reply = watchdog.post("/", &body);
    assert!(reply.whole && reply.body == body, "{} bytes came back", reply.body.len());
}
