//! Where a response ends, and what is refused.

use http::Method;
use tokio::io::AsyncWriteExt;

use crate::support::*;

/// A response is read like this, and its connection is kept or not.
struct Case {
    method: Method,
    wire: &'static str,
    status: u16,
    body: &'static str,
    kept: bool,
}

fn case(method: Method, wire: &'static str, status: u16, body: &'static str, kept: bool) -> Case {
    Case { method, wire, status, body, kept }
}

#[tokio::test]
async fn reads_every_framing() {
    let (get, head, post) = (Method::GET, Method::HEAD, Method::POST);
    let cases = [
        case(get.clone(), "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", 200, "hello", true),
        case(get.clone(), "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", 200, "", true),
        case(get.clone(), "HTTP/1.1 200\r\ncontent-length: 1\r\n\r\nx", 200, "x", true),
        case(
            get.clone(),
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\nx",
            200,
            "x",
            true,
        ),
        case(get.clone(), "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\n", 200, "", true),
        case(
            get.clone(),
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n1\r\n!\r\n0\r\n\r\n",
            200,
            "hello!",
            true,
        ),
        case(get.clone(), "HTTP/1.1 204 No Content\r\n\r\n", 204, "", true),
        case(get.clone(), "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n", 304, "", true),
        case(head.clone(), "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", 200, "", true),
        case(head.clone(), "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", 200, "", true),
        case(head, "HTTP/1.1 404 Not Found\r\n\r\n", 404, "", true),
        case(post, "HTTP/1.1 999 Odd\r\ncontent-length: 2\r\n\r\nab", 999, "ab", true),
        // Not reused: the connection says so, or the version does, or there is more than was asked for.
        case(
            get.clone(),
            "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 1\r\n\r\nx",
            200,
            "x",
            false,
        ),
        case(
            get.clone(),
            "HTTP/1.1 200 OK\r\nConnection: a, CLOSE\r\ncontent-length: 1\r\n\r\nx",
            200,
            "x",
            false,
        ),
        case(get.clone(), "HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\nx", 200, "x", false),
        case(
            get.clone(),
            "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 1\r\n\r\nx",
            200,
            "x",
            true,
        ),
        case(
            get.clone(),
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nxHTTP/1.1 200 OK\r\n",
            200,
            "x",
            false,
        ),
        case(get.clone(), "HTTP/1.1 204 No Content\r\ncontent-length: 1\r\n\r\nx", 204, "", false),
        case(
            get,
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n0\r\n\r\n",
            200,
            "x",
            false,
        ),
    ];
    for case in cases {
        let client = client(answering(case.wire).await);
        let (response, body) = client.fetch(request(case.method.clone(), "")).await;
        assert_eq!(response.status(), case.status, "{}", case.wire);
        assert_eq!(String::from_utf8_lossy(&body), case.body, "{}", case.wire);
        assert_eq!(client.client.idle(), usize::from(case.kept), "{} {}", case.method, case.wire);
        let (again, body) = client.fetch(request(case.method, "")).await;
        assert_eq!(again.status(), case.status, "{}", case.wire);
        assert_eq!(String::from_utf8_lossy(&body), case.body, "{}", case.wire);
        assert_eq!(client.dials(), if case.kept { 1 } else { 2 }, "{}", case.wire);
    }
}

#[tokio::test]
async fn reads_to_the_end_of_the_connection() {
    let client = client(answering_once("HTTP/1.1 200 OK\r\n\r\nhello").await);
    let (_, body) = client.fetch(get()).await;
    assert_eq!(body, b"hello");
    assert_eq!(client.client.idle(), 0);
}

#[tokio::test]
async fn gives_headers_and_trailers_as_they_came() {
    let wire = "HTTP/1.1 200 Fine\r\nSet-Cookie: a=1\r\nX-Odd: \u{fc}ml\r\nset-cookie: b=2; path=/\r\n\
                transfer-encoding: chunked\r\nX-Empty:\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 1\r\nx-sum: 2\r\n\r\n";
    let client = client(answering(wire).await);
    let response = within(client.client.send(get())).await.unwrap();
    let cookies: Vec<_> = response.headers().get_all("set-cookie").iter().collect();
    assert_eq!(cookies, ["a=1", "b=2; path=/"]);
    assert_eq!(response.headers()["x-odd"].as_bytes(), "\u{fc}ml".as_bytes());
    assert_eq!(response.headers()["x-empty"], "");
    let (data, trailers) = read(response.into_body()).await.unwrap();
    assert_eq!(data, b"hi");
    assert_eq!(trailers.get_all("x-sum").iter().collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(client.client.idle(), 1);
}

#[tokio::test]
async fn reads_a_response_that_comes_byte_by_byte() {
    let wire = "\r\nHTTP/1.1 103 Early\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\
                5;a=b\r\nhello\r\n10\r\n0123456789abcdef\r\n0\r\nsum: 1\r\n\r\n";
    let address = serve(move |_, mut stream| async move {
        while read_head(&mut stream).await.is_some() {
            for byte in wire.bytes() {
                stream.write_all(&[byte]).await.unwrap();
                tokio::task::yield_now().await;
            }
        }
    })
    .await;
    let client = client(address);
    for _ in 0..20 {
        let response = within(client.client.send(get())).await.unwrap();
        let (data, trailers) = read(response.into_body()).await.unwrap();
        assert_eq!(data, b"hello0123456789abcdef");
        assert_eq!(trailers["sum"], "1");
    }
    assert_eq!(client.dials(), 1);
}

#[tokio::test]
async fn refuses_what_is_not_a_response() {
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(200));
    let long = format!("HTTP/1.1 200 OK\r\na: {}\r\n\r\n", "x".repeat(70_000));
    let endless = format!("HTTP/1.1 200 OK\r\na: {}", "x".repeat(70_000));
    let interim = "HTTP/1.1 103 Early\r\n\r\n".repeat(20);
    let cases = [
        ("", "closed the connection before"),
        ("HTTP/1.1 200 OK\r\ncontent-le", "closed the connection before"),
        ("hello", "HTTP/1.0 or HTTP/1.1"),
        ("HTTP/2.0 200 OK\r\n\r\n", "HTTP/1.0 or HTTP/1.1"),
        ("HTTP/1.1 2000 OK\r\n\r\n", "status"),
        ("HTTP/1.1 099 OK\r\n\r\n", "status"),
        ("HTTP/1.1 200 OK\r\na b: c\r\n\r\n", "header name"),
        ("HTTP/1.1 200 OK\r\na : c\r\n\r\n", "header name"),
        ("HTTP/1.1 200 OK\r\na: b\r\n folded\r\n\r\n", "header name"),
        ("HTTP/1.1 200 OK\r\na: b\0c\r\n\r\n", "header value"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!", "contradict"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 5, 5\r\n\r\nhello", "not a number"),
        ("HTTP/1.1 200 OK\r\ncontent-length: +5\r\n\r\nhello", "not a number"),
        ("HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\nhello", "not a number"),
        ("HTTP/1.1 200 OK\r\ncontent-length:\r\n\r\nhello", "not a number"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 18446744073709551616\r\n\r\nx", "not a number"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n", "not chunked"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n", "not chunked"),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n",
            "not chunked",
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n",
            "and a content-length",
        ),
        ("HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", "HTTP/1.0 does not have"),
        ("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n", "not asked for"),
        (&many, "larger than"),
        (&long, "larger than"),
        (&endless, "larger than"),
        (&interim, "too many interim"),
    ];
    for (wire, expected) in cases {
        let client = client(answering_once(wire).await);
        let error = within(client.client.send(get())).await.unwrap_err();
        let shown = &wire[..wire.len().min(90)];
        assert!(words(&error).contains(expected), "{shown:?}: {}", words(&error));
        assert_eq!(client.client.idle(), 0, "{shown:?}");
        assert_eq!(client.dials(), 1, "{shown:?}");
    }
}

#[tokio::test]
async fn an_early_end_is_an_error() {
    let cases = [
        ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhell", "closed the connection within"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", "closed the connection within"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhell", "closed the connection within"),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
            "closed the connection within",
        ),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n", "closed the connection within"),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\na: b\r\n",
            "closed the connection within",
        ),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nx\r\n", "hexadecimal"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nxy\r\n", "line end"),
    ];
    for (wire, expected) in cases {
        let client = client(answering_once(wire).await);
        let response = within(client.client.send(get())).await.unwrap();
        let error = read(response.into_body()).await.unwrap_err();
        assert!(words(&*error).contains(expected), "{wire:?}: {}", words(&*error));
        assert_eq!(client.client.idle(), 0, "{wire:?}");
    }
}
