//! Calls over HTTP/2 to functions that know nothing of it.

use gateway::Config;
use http::{HeaderValue, Request, Response};
use http_body_util::BodyExt;
use provider::Body;

use super::support::{call, connect, post};
use crate::support::{Served, echoing, exchange, running};

#[tokio::test]
async fn a_function_sees_what_it_would_see_over_http1() {
    let seen = |call: provider::Call| -> String {
        let (head, _) = call.request.into_parts();
        let mut lines: Vec<_> = head
            .headers
            .iter()
            .filter(|(name, _)| {
                !["x-start-time", "x-call-id", "x-forwarded-for", "forwarded"].contains(&name.as_str())
            })
            .map(|(name, value)| format!("{name}: {}", value.to_str().expect("text")))
            .collect();
        lines.sort();
        format!("{} {}\n{}", head.method, head.uri, lines.join("\n"))
    };
    let memory =
        running(&["f"], move |call| Box::pin(async move { Ok(Response::new(Body::from(seen(call)))) })).await;
    let served = Served::start(memory, Config::default()).await;
    let (client, _) = connect(served.api).await;
    let mut request = Request::post("http://g/function/f/a%2Fb//?q=%20&r").body(()).expect("a request");
    for (name, value) in [("x-own", "1"), ("content-length", "2"), ("cookie", "a=1"), ("cookie", "b=2")] {
        request.headers_mut().append(name, HeaderValue::from_static(value));
    }
    let (head, body, trailers) = call(&client, request, "hi").await.expect("an answer");
    assert_eq!(head.status, 200);
    assert!(head.headers.contains_key("x-call-id") && trailers.is_none());
    let over_http2 = String::from_utf8(body.to_vec()).expect("text");
    let over_http1 = exchange(
        served.api,
        b"POST /function/f/a%2Fb//?q=%20&r HTTP/1.1\r\nhost: g\r\nx-own: 1\r\ncontent-length: 2\r\n\
          cookie: a=1; b=2\r\nconnection: close\r\n\r\nhi",
    )
    .await;
    let (_, over_http1) = over_http1.split_once("\r\n\r\n").expect("a body");
    assert_eq!(over_http2, over_http1);
    served.stop().await;
}

#[tokio::test]
async fn management_and_health_speak_it_too() {
    let served = Served::start(echoing(&["env"]).await, Config::default()).await;
    let (client, _) = connect(served.api).await;
    let get = |path: &str| Request::get(format!("http://g{path}")).body(()).expect("a request");
    let (head, body, _) = call(&client, get("/system/functions"), "").await.expect("an answer");
    assert_eq!(head.status, 200);
    assert!(body.starts_with(b"[{\"name\":\"env\""), "{body:?}");
    assert_eq!(call(&client, get("/healthz"), "").await.expect("an answer").0.status, 200);
    assert_eq!(call(&client, get("/nothing"), "").await.expect("an answer").0.status, 404);
    let (head, body, _) = call(&client, post("/function/absent"), "x").await.expect("an answer");
    assert_eq!(head.status, 404);
    assert!(body.starts_with(b"function absent"), "{body:?}");
    served.stop().await;
}

/// The text of an error among it: clients break off on a body that may not be there.
#[tokio::test]
async fn nothing_follows_the_head_that_was_asked_for_alone() {
    let served = Served::start(echoing(&["env"]).await, Config::default()).await;
    let (client, _) = connect(served.api).await;
    for (path, status) in [("/function/absent", 404), ("/system/none", 404), ("/function/env", 200)] {
        let request = Request::head(format!("http://g{path}")).body(()).expect("a request");
        let (head, body, _) = call(&client, request, "").await.expect("an answer");
        assert_eq!((head.status.as_u16(), &body[..]), (status, &b""[..]), "{path}");
    }
    served.stop().await;
}

#[tokio::test]
async fn bodies_pass_whole_and_at_once() {
    let memory =
        running(&["echo"], |call| Box::pin(async move { Ok(Response::new(call.request.into_body())) })).await;
    let served = Served::start(memory, Config::default()).await;
    let (client, _) = connect(served.api).await;
    let large: bytes::Bytes = (0..3_000_000u32).map(|n| (n / 5) as u8).collect::<Vec<_>>().into();
    let calls = (0..4).map(|_| call(&client, post("/function/echo"), large.clone()));
    for answer in futures_util::future::join_all(calls).await {
        assert!(answer.expect("an answer").1 == large);
    }
    // Without a body, and with one that is not read.
    assert!(call(&client, post("/function/echo"), "").await.expect("an answer").1.is_empty());
    served.stop().await;
}

#[tokio::test]
async fn a_head_answer_has_a_length_and_no_body() {
    let memory = running(&["f"], |call| {
        Box::pin(async move {
            let body = call.request.into_body().collect().await.expect("a body").to_bytes();
            assert!(body.is_empty());
            Ok(Response::builder().header("content-length", "42").body(Body::Empty).expect("an answer"))
        })
    })
    .await;
    let served = Served::start(memory, Config::default()).await;
    let (client, _) = connect(served.api).await;
    let head = Request::head("http://g/function/f").body(()).expect("a request");
    let (head, body, _) = call(&client, head, "").await.expect("an answer");
    assert_eq!(head.headers["content-length"], "42");
    assert!(body.is_empty());
    served.stop().await;
}

#[tokio::test]
async fn what_no_other_hop_would_understand_alike_is_refused() {
    let served = Served::start(echoing(&["env"]).await, Config::default()).await;
    let (client, _) = connect(served.api).await;
    let check = async |request: Request<()>, status: u16, words: &str| {
        let (head, body, _) = call(&client, request, "").await.expect("an answer");
        let body = String::from_utf8_lossy(&body);
        assert!(head.status == status && body.contains(words), "{}: {body}", head.status);
    };
    let mut other = post("/function/env");
    other.headers_mut().insert("host", HeaderValue::from_static("other"));
    check(other, 400, "send one of them").await;
    let user = Request::get("http://u@g/function/env").body(()).expect("a request");
    check(user, 400, "no user").await;
    let tunnel = Request::connect("g:80").body(()).expect("a request");
    check(tunnel, 405, "no forward proxy").await;
    // What belongs to HTTP/1 makes a request malformed (RFC 9113, 8.2.2).
    for (name, value) in [("connection", "close"), ("transfer-encoding", "chunked"), ("te", "gzip")] {
        let mut malformed = post("/function/env");
        malformed.headers_mut().insert(name, HeaderValue::from_static(value));
        let sent = match client.clone().ready().await.expect("ready").send_request(malformed, true) {
            Ok((answer, _)) => answer.await.map(drop),
            Err(error) => Err(error),
        };
        assert!(sent.is_err(), "{name}: {value}");
    }
    // The connection serves on.
    assert_eq!(call(&client, post("/function/env"), "").await.expect("an answer").0.status, 200);
    served.stop().await;
}
