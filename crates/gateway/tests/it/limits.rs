//! What the annotations of a function say about its calls.

use std::time::{Duration, Instant};

use gateway::Config;
use provider::Provider;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::by_hand::{ByHand, rest, until, write};
use crate::support::{Served, deployed};
use crate::support::{echoing, id, in_time, running, spec};

const GET: &str = "GET /function/f HTTP/1.1\r\nhost: g\r\nconnection: close\r\n\r\n";
const POST: &str = "POST /function/f HTTP/1.1\r\nhost: g\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok";

/// It was refused here, and the client is told how; a queue may try again what is not the caller's own doing.
fn refused(answer: &str, status: &str, headers: &[&str]) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    for header in [&["x-call-id: "], headers].concat() {
        assert!(answer.contains(&format!("\r\n{header}")), "without {header}: {answer}");
    }
    let retry = !matches!(status, "408" | "413");
    assert_eq!(answer.contains("\r\nx-openfaas-internal: proxy"), retry, "{answer}");
}

#[tokio::test]
async fn a_timeout_of_its_own_bounds_the_head_and_each_silence() {
    let config = Config { upstream_timeout: Duration::from_secs(3600), ..Config::default() };
    let hand = ByHand::start(config, &[("minke/timeout", "80ms")]).await;
    let mut client = hand.client(GET).await;
    let (mut replica, _) = hand.call().await;
    refused(&rest(&mut client).await, "504", &[]);
    assert_eq!(rest(&mut replica).await, "", "the function's connection is closed");
    let mut client = hand.client(GET).await;
    let (mut replica, _) = hand.call().await;
    write(&mut replica, "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello").await;
    let answer = rest(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\nhello"), "{answer}");
    hand.served.stop().await;
}

#[tokio::test]
async fn a_body_that_is_long_on_its_way_is_waited_for_and_a_trickle_is_not() {
    const PIECE: usize = 32 * 1024;
    let hand = ByHand::start(Config::default(), &[("minke/timeout", "1s")]).await;
    let (head, body) = OK.split_at(OK.len() - 2);
    // The function may have begun its answer, and end it when all is there.
    for early in [false, true] {
        let mut client = hand.client(&format!("{POST}content-length: {}\r\n\r\n", PIECE * 10)).await;
        let (mut replica, _) = hand.call().await;
        if early {
            write(&mut replica, head).await;
            until(&mut client, "\r\n\r\n").await;
        }
        let mut piece = vec![0; PIECE];
        let begun = Instant::now();
        for _ in 0..10 {
            in_time(client.write_all(&piece)).await.expect("write");
            in_time(replica.read_exact(&mut piece)).await.expect("read");
            // Not to wait for anything: it is the client that is slow.
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
        assert!(begun.elapsed() > Duration::from_millis(1500));
        write(&mut replica, if early { body } else { OK }).await;
        until(&mut client, "ok").await;
    }

    let mut client = hand.client(&format!("{POST}content-length: {}\r\n\r\n", PIECE * 10)).await;
    let (mut replica, _) = hand.call().await;
    let (mut incoming, mut outgoing) = client.split();
    let trickle = async {
        while outgoing.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        std::future::pending::<()>().await;
    };
    let answer = async {
        let mut answer = String::new();
        let _ = in_time(incoming.read_to_string(&mut answer)).await;
        answer
    };
    let answer = tokio::select! { answer = answer => answer, () = trickle => unreachable!() };
    refused(&answer, "504", &[]);
    assert!(rest(&mut replica).await.bytes().all(|byte| byte == b'x'));
    drop(client);
    hand.served.stop().await;
}

#[tokio::test]
async fn a_body_that_says_it_is_too_large_is_refused_before_anything_is_sent() {
    let memory = running(&["f"], |_| panic!("it is called")).await;
    let mut function = spec("f");
    function.annotations.insert("minke/max-body".into(), "4".into());
    memory.update(function).await.expect("update");
    let served = Served::start(memory, Config::default()).await;
    let answer = served.raw(format!("{POST}content-length: 5\r\n\r\nhello")).await;
    refused(&answer, "413", &["connection: close"]);
    assert!(answer.ends_with("the body is larger than 4 bytes\n"), "{answer}");
    served.stop().await;
}

#[tokio::test]
async fn a_body_that_grows_too_large_is_cut_off() {
    let hand = ByHand::start(Config::default(), &[("minke/max-body", "8")]).await;
    let mut client = hand.client(&format!("{POST}transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n")).await;
    let (mut replica, _) = hand.call().await;
    until(&mut replica, "hello\r\n").await;
    write(&mut client, "5\r\nworld\r\n").await;
    refused(&rest(&mut client).await, "413", &["connection: close"]);
    assert_eq!(rest(&mut replica).await, "", "the rest never comes, and no end of it");
    // What fits passes.
    let mut client =
        hand.client(&format!("{POST}transfer-encoding: chunked\r\n\r\n8\r\nhello wo\r\n0\r\n\r\n")).await;
    let (mut replica, _) = hand.call().await;
    until(&mut replica, "0\r\n\r\n").await;
    write(&mut replica, OK).await;
    until(&mut client, "ok").await;
    drop(client);
    hand.served.stop().await;
}

#[tokio::test]
async fn the_gateways_bound_holds_where_a_function_says_nothing() {
    let memory = echoing(&["f", "large"]).await;
    let mut large = spec("large");
    large.annotations.insert("minke/max-body".into(), "1Ki".into());
    memory.update(large).await.expect("update");
    let served = Served::start(memory, Config { body_max: Some(4), ..Config::default() }).await;
    let call = |name: &str| {
        format!(
            "POST /function/{name} HTTP/1.1\r\nhost: g\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello"
        )
    };
    refused(&served.raw(call("f")).await, "413", &[]);
    let answer = served.raw(call("large")).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("hello"), "{answer}");
    served.stop().await;
}

#[tokio::test]
async fn more_calls_at_once_than_a_function_takes_are_told_to_come_back() {
    let hand = ByHand::start(Config::default(), &[("minke/max-in-flight", "1")]).await;
    let mut client = hand.client(GET).await;
    let (mut replica, _) = hand.call().await;
    refused(&hand.served.raw(GET).await, "429", &["retry-after: 1\r\n"]);
    // A new state of its route does not forget who is there.
    hand.memory.scale(&id("f"), 2).await.expect("scale");
    refused(&hand.served.raw(GET).await, "429", &["retry-after: 1\r\n"]);
    // The place is held until the answer is through.
    write(&mut replica, "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 4\r\n\r\nok").await;
    until(&mut client, "ok").await;
    refused(&hand.served.raw(GET).await, "429", &["retry-after: 1\r\n"]);
    write(&mut replica, "ok").await;
    rest(&mut client).await;
    let mut client = hand.client(GET).await;
    let (mut replica, _) = hand.call().await;
    write(&mut replica, OK).await;
    assert!(rest(&mut client).await.ends_with("ok"));
    hand.served.stop().await;
}

#[tokio::test]
async fn more_calls_than_the_rate_are_told_when_to_come_back() {
    let memory = deployed(provider::Memory::new(model::Namespace::default()), &[]).await;
    let mut function = spec("f");
    function.annotations.insert("minke/rate-limit".into(), "0.01".into());
    function.annotations.insert("minke/rate-burst".into(), "2".into());
    memory.deploy(function.clone()).await.expect("deploy");
    let served = Served::start(memory.clone(), Config::default()).await;
    let taken = async || {
        let answer = served.raw(GET).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    };
    taken().await;
    // Scaling does not fill the bucket.
    memory.scale(&id("f"), 3).await.expect("scale");
    taken().await;
    for _ in 0..3 {
        let answer = served.raw(GET).await;
        refused(&answer, "429", &["retry-after: "]);
        let wait = answer.lines().find_map(|line| line.strip_prefix("retry-after: ")).expect("a header");
        assert!((80..=100).contains(&wait.parse::<u32>().expect("seconds")), "{answer}");
    }
    // A function that is made anew has a bucket of its own.
    memory.delete(&id("f")).await.expect("delete");
    memory.deploy(function).await.expect("deploy");
    taken().await;
    served.stop().await;
}

#[tokio::test]
async fn a_body_that_stalls_is_408() {
    let config = Config { read_timeout: Duration::from_millis(80), ..Config::default() };
    let hand = ByHand::start(config, &[]).await;
    for head in ["content-length: 10\r\n\r\nhello", "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"] {
        let mut client = hand.client(&format!("{POST}{head}")).await;
        let (mut replica, _) = hand.call().await;
        let answer = rest(&mut client).await;
        refused(&answer, "408", &["connection: close"]);
        assert!(answer.ends_with("nothing of the body came for 80ms\n"), "{answer}");
        in_time(async { while !rest(&mut replica).await.is_empty() {} }).await;
    }
    hand.counted("gateway_function_invocation_total{function_name=\"f.openfaas-fn\",code=\"408\"} 2").await;
    hand.served.stop().await;
}

/// Over HTTP/2 a refusal ends its stream, and the connection goes on.
#[tokio::test]
async fn limits_hold_over_http2() {
    let config = Config { read_timeout: Duration::from_millis(80), ..Config::default() };
    let hand = ByHand::start(config, &[("minke/max-body", "8"), ("minke/max-in-flight", "1")]).await;
    let stream = TcpStream::connect(hand.served.api).await.expect("connect");
    let (sender, connection) = h2::client::handshake(stream).await.expect("handshake");
    let connection = tokio::spawn(connection);
    let call = async |pieces: &[&'static str], ends: bool| {
        let mut sender = sender.clone().ready().await.expect("ready");
        let uri = format!("http://{}/function/f", hand.served.api);
        let (answer, mut body) =
            sender.send_request(http::Request::post(uri).body(()).expect("request"), false).expect("send");
        for (n, piece) in pieces.iter().enumerate() {
            body.send_data((*piece).into(), ends && n + 1 == pieces.len()).expect("send");
        }
        let (parts, mut body) = in_time(answer).await.expect("an answer").into_parts();
        let mut text = Vec::new();
        while let Some(data) = in_time(body.data()).await {
            text.extend_from_slice(&data.expect("data"));
        }
        let header =
            |name: &str| parts.headers.get(name).map(|value| value.to_str().expect("text").to_owned());
        assert_eq!(header("connection"), None);
        assert!(header("x-call-id").is_some());
        (parts.status.as_u16(), header("x-openfaas-internal"), String::from_utf8(text).expect("text"))
    };
    let told = |status: u16, text: &str| (status, None, format!("{text}\n"));
    assert_eq!(call(&["hello", "world"], true).await, told(413, "the body is larger than 8 bytes"));
    assert_eq!(call(&["hello"], false).await, told(408, "nothing of the body came for 80ms"));
    let answered = async {
        // The two above came so far, and were cut off.
        for _ in 0..2 {
            let cut = rest(&mut hand.accept().await).await;
            assert!(!cut.ends_with("0\r\n\r\n"), "{cut}");
        }
        let (mut replica, _) = hand.call().await;
        until(&mut replica, "0\r\n\r\n").await;
        let busy = "f.openfaas-fn answers as many calls as it may at once; try again";
        let (_, _, text) = told(429, busy);
        assert_eq!(call(&["hi"], true).await, (429, Some("proxy".to_owned()), text));
        write(&mut replica, OK).await;
    };
    let (taken, ()) = in_time(async { tokio::join!(call(&["hello"], true), answered) }).await;
    assert_eq!(taken, (200, None, "ok".to_owned()));
    drop(sender);
    in_time(connection).await.expect("no panic").expect("an orderly end");
    hand.served.stop().await;
}

#[tokio::test]
async fn once_an_answer_streams_its_client_may_be_silent() {
    let config = Config { read_timeout: Duration::from_millis(80), ..Config::default() };
    let hand = ByHand::start(config, &[]).await;
    let mut client = hand.client(&format!("{POST}transfer-encoding: chunked\r\n\r\n2\r\nhi\r\n")).await;
    let (mut replica, _) = hand.call().await;
    write(&mut replica, "HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n").await;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(400) {
        write(&mut replica, "1\r\n.\r\n").await;
        until(&mut client, "1\r\n.\r\n").await;
        // Not to wait for anything: only the function speaks.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    write(&mut client, "3\r\nbye\r\n0\r\n\r\n").await;
    until(&mut replica, "3\r\nbye\r\n0\r\n\r\n").await;
    write(&mut replica, "0\r\n\r\n").await;
    until(&mut client, "0\r\n\r\n").await;
    drop(client);
    hand.served.stop().await;
}

#[tokio::test]
async fn the_usual_default_namespace_leads_to_the_platforms_own() {
    let dev = model::Namespace::parse("dev").expect("a namespace");
    let memory = provider::Memory::new(dev.clone());
    let env = model::FunctionId::parse("env", &dev).expect("a name");
    memory.deploy(model::FunctionSpec::new(env, "env".parse().expect("an image"))).await.expect("deploy");
    let served =
        Served::start(std::sync::Arc::new(memory), Config { namespace: dev, ..Config::default() }).await;
    let call = |name: &str| format!("GET /function/{name} HTTP/1.1\r\nhost: g\r\nconnection: close\r\n\r\n");
    for (name, status) in [
        ("env", 200),
        ("env.dev", 200),
        ("env.openfaas-fn", 200),
        ("env.other", 404),
        ("no.openfaas-fn", 404),
    ] {
        let answer = served.raw(call(name)).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{name}: {answer}");
    }
    // The first answer was not a matter of what was asked before.
    assert!(served.raw(call("env.openfaas-fn")).await.starts_with("HTTP/1.1 200 "));
    assert!(served.raw(call("no.openfaas-fn")).await.contains("function no.openfaas-fn is not found"));
    served.stop().await;
}
