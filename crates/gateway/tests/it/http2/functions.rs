//! Functions that speak HTTP/2, called over either, as gRPC does it.

use std::time::Duration;

use bytes::Bytes;
use gateway::Config;
use h2::Reason;
use http::{HeaderMap, HeaderValue, Response};
use tokio::sync::mpsc;

use super::support::{begin, call, connect, echo, post, serving, whole};
use crate::support::in_time;

#[tokio::test]
async fn trailers_and_headers_arrive_both_ways() {
    let served = serving(echo, Config::default()).await;
    let (client, _) = connect(served.api).await;
    let mut request = post("/function/f/package.Service/Method");
    for (name, value) in [("content-type", "application/grpc"), ("te", "trailers"), ("x-own-bin", "AAEC")] {
        request.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    let (response, mut stream) = begin(&client, request).await;
    stream.send_data("message".into(), false).expect("data");
    let mut trailers = HeaderMap::new();
    trailers.insert("x-mine", HeaderValue::from_static("1"));
    stream.send_trailers(trailers).expect("trailers");
    let (head, body) = in_time(response).await.expect("an answer").into_parts();
    for (name, value) in [
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        ("x-own-bin", "AAEC"),
        ("x-forwarded-host", "g"),
    ] {
        assert_eq!(head.headers[format!("x-echo-{name}")], value, "{name}");
    }
    let target = head.headers["x-echo-target"].to_str().expect("text");
    assert!(
        target.starts_with("http://127.0.0.1:") && target.ends_with("/package.Service/Method"),
        "{target}"
    );
    let (body, trailers) = whole(body).await.expect("a whole answer");
    let trailers = trailers.expect("trailers");
    assert_eq!(body, "message");
    assert_eq!(
        (&trailers["grpc-status"], &trailers["x-mine"]),
        (&"0".parse().unwrap(), &"1".parse().unwrap())
    );
    served.stop().await;
}

#[tokio::test]
async fn an_answer_of_a_head_alone_stays_one() {
    let refuse = |_,
                  mut respond: h2::server::SendResponse<Bytes>|
     -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            let response = Response::builder().header("grpc-status", "12").body(()).expect("a head");
            respond.send_response(response, true).expect("sent");
        })
    };
    let served = serving(refuse, Config::default()).await;
    let (client, _) = connect(served.api).await;
    let (response, mut stream) = begin(&client, post("/function/f/p.S/M")).await;
    stream.send_data("message".into(), true).expect("data");
    let (head, body) = in_time(response).await.expect("an answer").into_parts();
    assert_eq!(head.headers["grpc-status"], "12");
    assert!(body.is_end_stream(), "it ends with the head");
    served.stop().await;
}

#[tokio::test]
async fn messages_go_to_and_fro() {
    let served = serving(echo, Config::default()).await;
    let (client, _) = connect(served.api).await;
    let (response, mut stream) = begin(&client, post("/function/f/p.S/Chat")).await;
    let mut body = in_time(response).await.expect("an answer before the first message").into_body();
    for n in 0..30 {
        let message = Bytes::from(format!("message {n}"));
        stream.send_data(message.clone(), false).expect("data");
        let echoed = in_time(body.data()).await.expect("a message").expect("a message");
        let _ = body.flow_control().release_capacity(echoed.len());
        assert_eq!(echoed, message);
    }
    stream.send_data(Bytes::new(), true).expect("the end");
    let (_, trailers) = whole(body).await.expect("the end");
    assert_eq!(trailers.expect("trailers")["grpc-status"], "0");
    served.stop().await;
}

#[tokio::test]
async fn large_bodies_pass_both_ways_at_once() {
    let served = serving(echo, Config::default()).await;
    let (client, _) = connect(served.api).await;
    let large: Bytes = (0..4_000_000u32).map(|n| (n / 3) as u8).collect::<Vec<_>>().into();
    let calls = (0..3).map(|_| call(&client, post("/function/f"), large.clone()));
    for answer in futures_util::future::join_all(calls).await {
        let (_, body, trailers) = answer.expect("an answer");
        assert!(body == large && trailers.is_some(), "{} bytes", body.len());
    }
    served.stop().await;
}

#[tokio::test]
async fn callers_of_http1_reach_it_too() {
    let served = serving(echo, Config::default()).await;
    let chunked = "POST /function/f/p?q HTTP/1.1\r\nhost: g\r\nconnection: close\r\nexpect: 100-continue\r\n\
                   transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n";
    let answer = served.raw(chunked).await;
    assert!(answer.contains("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("/p?q\r\n") && answer.contains("\r\nx-echo-x-forwarded-host: g\r\n"), "{answer}");
    assert!(!answer.contains("x-echo-expect") && !answer.contains("x-echo-host"), "{answer}");
    let body = answer.split_once("\r\n\r\n").map(|(head, rest)| match head.contains("100") {
        true => rest.split_once("\r\n\r\n").map_or("", |(_, body)| body),
        false => rest,
    });
    assert!(body.is_some_and(|body| body.contains("hello") && body.contains(" world")), "{answer}");
    let fixed = "POST /function/f HTTP/1.1\r\nhost: g\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello";
    let answer = served.raw(fixed).await;
    assert!(answer.contains("\r\nx-echo-content-length: 5\r\n") && answer.contains("hello"), "{answer}");
    served.stop().await;
}

#[tokio::test]
async fn a_caller_that_resets_ends_the_call() {
    let (resets, mut reset) = mpsc::unbounded_channel();
    let (begun, mut begins) = mpsc::unbounded_channel();
    let answer = move |_,
                       mut respond: h2::server::SendResponse<Bytes>|
          -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
        let (resets, begun) = (resets.clone(), begun.clone());
        Box::pin(async move {
            let _ = begun.send(());
            let reset = std::future::poll_fn(|cx| respond.poll_reset(cx)).await;
            let _ = resets.send(reset.ok());
        })
    };
    let served = serving(answer, Config::default()).await;
    let (client, _) = connect(served.api).await;
    let (_response, mut stream) = begin(&client, post("/function/f")).await;
    in_time(begins.recv()).await.expect("it begins");
    stream.send_reset(Reason::CANCEL);
    assert_eq!(in_time(reset.recv()).await, Some(Some(Reason::CANCEL)));
    served.stop().await;
}

#[tokio::test]
async fn what_the_function_breaks_off_is_seen_to_be_broken() {
    let answer = |request: http::Request<h2::RecvStream>,
                  mut respond: h2::server::SendResponse<Bytes>|
     -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            if request.uri().path() == "/before" {
                return respond.send_reset(Reason::INTERNAL_ERROR);
            }
            let mut stream = respond.send_response(Response::new(()), false).expect("a head");
            stream.send_data("first".into(), false).expect("data");
            // The data must be on its way before the reset drops it.
            tokio::time::sleep(Duration::from_millis(20)).await;
            stream.send_reset(Reason::INTERNAL_ERROR);
        })
    };
    let served = serving(answer, Config::default()).await;
    let (client, _) = connect(served.api).await;
    let (head, body, _) = call(&client, post("/function/f/before"), "x").await.expect("an answer");
    assert_eq!(
        (head.status.as_u16(), &head.headers["x-openfaas-internal"]),
        (502, &"proxy".parse().unwrap())
    );
    assert!(body.starts_with(b"Can't reach service for: f"), "{body:?}");
    let (response, mut stream) = begin(&client, post("/function/f/within")).await;
    stream.send_data("x".into(), true).expect("data");
    let mut body = in_time(response).await.expect("a head").into_body();
    assert_eq!(in_time(body.data()).await.expect("data").expect("data"), "first");
    let broken = in_time(body.data()).await.expect("an end");
    assert!(broken.is_err_and(|error| error.is_reset()), "it is not taken for the whole");
    served.stop().await;
}

#[tokio::test]
async fn once_it_streams_a_caller_may_be_silent() {
    let read_timeout = Duration::from_millis(100);
    let served = serving(echo, Config { read_timeout, ..Config::default() }).await;
    let (client, _) = connect(served.api).await;
    let (response, mut stream) = begin(&client, post("/function/f/p.S/Chat")).await;
    let mut body = in_time(response).await.expect("an answer").into_body();
    tokio::time::sleep(3 * read_timeout).await;
    stream.send_data("late".into(), true).expect("data");
    assert_eq!(in_time(body.data()).await.expect("data").expect("data"), "late");
    served.stop().await;
}

#[tokio::test]
async fn a_host_of_its_own_leads_to_it() {
    let config = Config::default();
    let rule = gateway::DomainRule {
        host: "grpc.example.com".into(),
        path: "/".into(),
        function: crate::support::id("f"),
        keep_path: true,
    };
    config.domains.replace(vec![rule]).expect("a right map");
    let served = serving(echo, config).await;
    let (client, _) = connect(served.api).await;
    let request =
        http::Request::post("http://grpc.example.com/package.Service/Method").body(()).expect("a request");
    let (head, body, trailers) = call(&client, request, "message").await.expect("an answer");
    assert!(head.headers["x-echo-target"].to_str().expect("text").ends_with("/package.Service/Method"));
    assert_eq!(body, "message");
    assert!(trailers.is_some());
    served.stop().await;
}
