//! A replica behind a socket: what it is sent and what it answers, byte for byte.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gateway::Config;
use model::Namespace;
use provider::http1::{Client, Config as ClientConfig};
use provider::{HttpReplica, Memory};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{PATIENCE, Served, comparable, deployed, in_time, mask, read_until};

/// A server that reads a request up to its `end`, answers with fixed bytes and closes; and what it read.
struct Upstream {
    address: SocketAddr,
    read: Arc<Mutex<Vec<String>>>,
}

impl Upstream {
    async fn start(end: &'static str, answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("address");
        let read: Arc<Mutex<Vec<String>>> = Arc::default();
        let log = Arc::clone(&read);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let request = read_until(&mut stream, end).await;
                log.lock().expect("log").push(request);
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        Self { address, read }
    }

    async fn behind_gateway(&self) -> Served {
        let client = Client::new(Arc::new(self.address), ClientConfig::default());
        let host = self.address.to_string().parse().expect("host");
        let replica = Arc::new(HttpReplica::new(client, host));
        let memory = deployed(Memory::with_handler(Namespace::default(), replica), &["f"]).await;
        let config = Config { write_timeout: Duration::from_millis(300), ..Config::default() };
        Served::start(memory, config).await
    }
}

/// Sends `request` through, and compares what the function got and what the client got; headers in any order.
async fn check(request: &str, answer: &'static str, want_request: &str, want_answer: &str) {
    let end = if request.contains("chunked") {
        "0\r\n\r\n"
    } else {
        request.rsplit("\r\n").next().unwrap_or_default()
    };
    let end: &'static str = if end.is_empty() { "\r\n\r\n" } else { String::leak(end.to_owned()) };
    let upstream = Upstream::start(end, answer).await;
    let served = upstream.behind_gateway().await;
    let got = served.golden(request).await;
    assert_eq!(lines(&got), lines(want_answer), "{request}");
    let read = upstream.read.lock().expect("log").join("");
    assert_eq!(lines(&comparable(&read)), lines(want_request), "{request}");
    served.stop().await;
}

fn lines(message: &str) -> Vec<String> {
    let (head, body) = message.split_once("\n\n").unwrap_or((message, ""));
    let mut lines: Vec<String> = head.lines().map(mask).collect();
    lines[1..].sort_unstable();
    lines.push(body.to_owned());
    lines
}

const SEEN: &str = "host: PEER\nx-forwarded-host: g\nx-forwarded-for: PEER\nx-forwarded-proto: http\n\
                    forwarded: for=\"PEER\";host=g;proto=http\nx-call-id: UUID\nx-start-time: NANOSECONDS\nuser-agent: minke-gateway/0.1.0\n";
const TOLD: &str = "x-call-id: UUID\nx-start-time: NANOSECONDS\nx-served-by: minke/0.1.0\n\
                    x-duration-seconds: SECONDS\nconnection: close\n";
/// What an answer gets that has a body and no type.
const PLAIN: &str = "content-type: text/plain\n";

#[tokio::test]
async fn heads_and_bodies_pass_as_they_are() {
    let get = "GET /function/f/p?q HTTP/1.1\r\nhost: g\r\nconnection: close\r\n\r\n";
    let seen = format!("GET /p?q HTTP/1.1\n{SEEN}\n");
    let told =
        |status: &str, headers: &str, body: &str| format!("HTTP/1.1 {status}\n{TOLD}{headers}\n{body}");

    let answer = "HTTP/1.1 200 Fine\r\ncontent-length: 2\r\nset-cookie: a=1\r\nset-cookie: b=2\r\nx-call-id: own\r\n\
                  connection: x-hop\r\nx-hop: 1\r\nkeep-alive: 5\r\n\r\nok";
    let want = "HTTP/1.1 200 OK\nx-call-id: own\nx-start-time: NANOSECONDS\nx-served-by: minke/0.1.0\n\
                x-duration-seconds: SECONDS\n\
                connection: close\ncontent-type: text/plain\ncontent-length: 2\nset-cookie: a=1\nset-cookie: b=2\n\nok";
    check(get, answer, &seen, want).await;
    check(get, "HTTP/1.1 204 No Content\r\n\r\n", &seen, &told("204 No Content", "", "")).await;
    let etag = "HTTP/1.1 304 Not Modified\r\netag: \"x\"\r\ncontent-length: 7\r\n\r\n";
    check(get, etag, &seen, &told("304 Not Modified", "etag: \"x\"\n", "")).await;
    let moved = "HTTP/1.1 302 Found\r\nlocation: http://elsewhere/\r\ncontent-length: 0\r\n\r\n";
    check(get, moved, &seen, &told("302 Found", "location: http://elsewhere/\ncontent-length: 0\n", ""))
        .await;
    let odd = "HTTP/1.1 599 Odd\r\nx-openfaas-internal: of-watchdog\r\ncontent-length: 1\r\n\r\nx";
    let want =
        told("599 <none>", &format!("{PLAIN}x-openfaas-internal: of-watchdog\ncontent-length: 1\n"), "x");
    check(get, odd, &seen, &want).await;
    let until_close = "HTTP/1.1 200 OK\r\n\r\nall of it";
    let want = told("200 OK", &format!("{PLAIN}transfer-encoding: chunked\n"), "9\r\nall of it\r\n0\r\n\r\n");
    check(get, until_close, &seen, &want).await;
    let old = "HTTP/1.0 200 OK\r\n\r\nan old one";
    let want =
        told("200 OK", &format!("{PLAIN}transfer-encoding: chunked\n"), "A\r\nan old one\r\n0\r\n\r\n");
    check(get, old, &seen, &want).await;
    let early = "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    check(get, early, &seen, &told("200 OK", "content-length: 0\n", "")).await;

    let head = "HEAD /function/f/p?q HTTP/1.1\r\nhost: g\r\nconnection: close\r\n\r\n";
    let seen_head = format!("HEAD /p?q HTTP/1.1\n{SEEN}\n");
    check(
        head,
        "HTTP/1.1 200 OK\r\ncontent-length: 42\r\n\r\n",
        &seen_head,
        &told("200 OK", "content-length: 42\n", ""),
    )
    .await;
}

#[tokio::test]
async fn request_bodies_keep_their_framing() {
    let ok = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    let told = format!("HTTP/1.1 200 OK\n{TOLD}content-length: 0\n\n");
    let post = "POST /function/f HTTP/1.1\r\nhost: g\r\nconnection: close\r\n";
    let seen = |headers: &str, body: &str| format!("POST / HTTP/1.1\n{SEEN}{headers}\n{body}");
    check(&format!("{post}content-length: 5\r\n\r\nhello"), ok, &seen("content-length: 5\n", "hello"), &told)
        .await;
    check(&format!("{post}content-length: 0\r\n\r\n"), ok, &seen("content-length: 0\n", ""), &told).await;
    let chunked = "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let as_chunked = seen("transfer-encoding: chunked\n", "5\r\nhello\r\n0\r\n\r\n");
    check(&format!("{post}{chunked}"), ok, &as_chunked, &told).await;
    // The coding decides, and the length goes no further.
    check(&format!("{post}content-length: 4\r\n{chunked}"), ok, &as_chunked, &told).await;
}

#[tokio::test]
async fn what_is_not_http_is_502() {
    let get = "GET /function/f HTTP/1.1\r\nhost: g\r\nconnection: close\r\n\r\n";
    for answer in ["", "HTTP/1.1 2", "SSH-2.0-x\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n"] {
        let upstream = Upstream::start("\r\n\r\n", answer).await;
        let served = upstream.behind_gateway().await;
        let got = served.golden(get).await;
        assert!(
            got.starts_with("HTTP/1.1 502 ") && got.contains("\nx-openfaas-internal: proxy\n"),
            "{answer:?}: {got}"
        );
        assert!(got.ends_with("\n\nCan't reach service for: f.openfaas-fn.\n"), "{got}");
        assert_eq!(upstream.read.lock().expect("log").len(), 1, "it is not sent twice");
        served.stop().await;
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_seen_to_be_broken() {
    let get = "GET /function/f HTTP/1.1\r\nhost: g\r\nconnection: close\r\n\r\n";
    let upstream =
        Upstream::start("\r\n\r\n", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n")
            .await;
    let served = upstream.behind_gateway().await;
    let got = served.raw(get).await;
    assert!(got.starts_with("HTTP/1.1 200 ") && got.ends_with("\r\n5\r\nhello\r\n"), "{got}");
    served.stop().await;
}

#[tokio::test]
async fn a_replica_whose_port_is_closed_is_502() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let closed = Upstream { address: listener.local_addr().expect("address"), read: Arc::default() };
    drop(listener);
    let served = closed.behind_gateway().await;
    let got = served.raw("GET /function/f HTTP/1.1\r\nhost: g\r\nconnection: close\r\n\r\n").await;
    assert!(got.starts_with("HTTP/1.1 502 "), "{got}");
    served.stop().await;
}

#[tokio::test]
async fn one_host_and_no_more() {
    let upstream = Upstream::start("\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let served = upstream.behind_gateway().await;
    for (version, hosts, status) in [
        ("1.1", "", 400),
        ("1.1", "host: a\r\nhost: a\r\n", 400),
        ("1.0", "", 200),
        ("1.1", "host:\r\n", 200),
    ] {
        let request = format!("GET /function/f HTTP/{version}\r\n{hosts}connection: close\r\n\r\n");
        let got = served.raw(&request).await;
        assert!(got.contains(&format!(" {status} ")), "{request}: {got}");
    }
    served.stop().await;
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_given_up() {
    // Larger than what the sockets between hold.
    const BYTES: usize = 64 * 1024 * 1024;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let upstream = Upstream { address: listener.local_addr().expect("address"), read: Arc::default() };
    let served = upstream.behind_gateway().await;
    let mut client = TcpStream::connect(served.api).await.expect("connect");
    client.write_all(b"GET /function/f HTTP/1.1\r\nhost: g\r\n\r\n").await.expect("write");
    let (mut replica, _) = in_time(listener.accept()).await.expect("a call");
    read_until(&mut replica, "\r\n\r\n").await;
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {BYTES}\r\n\r\n");
    let send = async {
        replica.write_all(head.as_bytes()).await?;
        replica.write_all(&vec![b'x'; BYTES]).await
    };
    let sent = tokio::time::timeout(PATIENCE, send).await.expect("the replica's connection is closed");
    assert!(sent.is_err(), "nobody took it");
    let mut got = Vec::new();
    let _ = in_time(client.read_to_end(&mut got)).await;
    assert!(got.len() < BYTES, "{}", got.len());
    served.stop().await;
}
