//! What two sides agree on while a call is under way: `Expect`, interim answers, trailers, events, and an early end.

use gateway::Config;

use crate::by_hand::{ByHand, rest, until, write};

const POST: &str = "POST /function/f HTTP/1.1\r\nhost: g\r\n";

async fn by_hand() -> ByHand {
    ByHand::start(Config::default(), &[]).await
}

#[tokio::test]
async fn a_body_is_asked_for_when_the_function_asks_for_it() {
    let hand = by_hand().await;
    let mut client = hand.client(&format!("{POST}content-length: 5\r\nexpect: 100-continue\r\n\r\n")).await;
    let (mut replica, head) = hand.call().await;
    assert!(head.contains("\r\nexpect: 100-continue\r\n"), "{head}");
    write(&mut replica, "HTTP/1.1 100 Continue\r\n\r\n").await;
    assert_eq!(until(&mut client, "\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    write(&mut client, "hello").await;
    assert_eq!(until(&mut replica, "hello").await, "hello");
    write(&mut replica, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    let answer = until(&mut client, "ok").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    hand.served.stop().await;
}

#[tokio::test]
async fn a_refusal_comes_without_the_body_being_asked_for() {
    let hand = by_hand().await;
    let mut client = hand.client(&format!("{POST}content-length: 5\r\nexpect: 100-continue\r\n\r\n")).await;
    let (mut replica, _) = hand.call().await;
    write(&mut replica, "HTTP/1.1 417 Expectation Failed\r\ncontent-length: 2\r\n\r\nno").await;
    let answer = rest(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 417 ") && answer.ends_with("\r\n\r\nno"), "{answer}");
    assert_eq!(rest(&mut replica).await, "", "not a byte of a body");
    hand.served.stop().await;
}

#[tokio::test]
async fn a_function_that_knows_no_expectations_gets_the_body_all_the_same() {
    let hand = by_hand().await;
    let mut client = hand.client(&format!("{POST}content-length: 5\r\nexpect: 100-continue\r\n\r\n")).await;
    let (mut replica, _) = hand.call().await;
    assert_eq!(until(&mut client, "\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    write(&mut client, "hello").await;
    until(&mut replica, "hello").await;
    drop(client);
    hand.served.stop().await;
}

#[tokio::test]
async fn interim_answers_of_a_function_end_at_the_gateway() {
    let hand = by_hand().await;
    let mut client = hand.client("GET /function/f HTTP/1.1\r\nhost: g\r\n\r\n").await;
    let (mut replica, _) = hand.call().await;
    for _ in 0..3 {
        write(&mut replica, "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n").await;
    }
    write(&mut replica, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    let answer = until(&mut client, "ok").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && !answer.contains("Early"), "{answer}");
    drop(client);
    hand.served.stop().await;
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    let hand = by_hand().await;
    let head = "te: trailers\r\ntrailer: x-sum\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut client =
        hand.client(&format!("{POST}{head}3\r\nabc\r\n0\r\nx-sum: 6\r\nhost: evil\r\n\r\n")).await;
    let (mut replica, head) = hand.call().await;
    assert!(head.contains("\r\nte: trailers\r\n") && head.contains("\r\nconnection: te\r\n"), "{head}");
    assert!(head.contains("\r\ntrailer: x-sum\r\n"), "{head}");
    assert_eq!(until(&mut replica, "\r\n\r\n").await, "3\r\nabc\r\n0\r\nx-sum: 6\r\n\r\n");
    let answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-md5\r\n\r\n2\r\nok\r\n0\r\nx-md5: 1\r\n\r\n";
    write(&mut replica, answer).await;
    let answer = until(&mut client, "x-md5: 1\r\n\r\n").await;
    assert!(
        answer.contains("\r\ntrailer: x-md5\r\n") && answer.contains("2\r\nok\r\n0\r\nx-md5: 1"),
        "{answer}"
    );
    // Who does not say that they are welcome gets none.
    write(&mut client, "GET /function/f HTTP/1.1\r\nhost: g\r\n\r\n").await;
    let head = until(&mut replica, "\r\n\r\n").await;
    assert!(!head.contains("\r\nte:"), "{head}");
    let answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-md5\r\n\r\n2\r\nok\r\n0\r\nx-md5: 1\r\n\r\n";
    write(&mut replica, answer).await;
    let answer = until(&mut client, "0\r\n\r\n").await;
    assert!(!answer.contains("x-md5: 1"), "{answer}");
    drop(client);
    hand.served.stop().await;
}

#[tokio::test]
async fn each_event_arrives_before_the_next_is_sent() {
    for (kind, event) in [("text/event-stream", "data: "), ("application/x-ndjson", "{\"n\":1}")] {
        let hand = by_hand().await;
        let mut client = hand.client("GET /function/f HTTP/1.1\r\nhost: g\r\n\r\n").await;
        let (mut replica, _) = hand.call().await;
        write(
            &mut replica,
            &format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n"),
        )
        .await;
        let head = until(&mut client, "\r\n\r\n").await;
        assert!(
            head.contains(&format!("\r\ncontent-type: {kind}\r\n")),
            "the head comes before any event: {head}"
        );
        for n in 0..10 {
            let event = format!("{event}{n}\n\n");
            write(&mut replica, &format!("{:x}\r\n{event}\r\n", event.len())).await;
            until(&mut client, &format!("{event}\r\n")).await;
        }
        write(&mut replica, "0\r\n\r\n").await;
        until(&mut client, "0\r\n\r\n").await;
        drop(client);
        hand.served.stop().await;
    }
}

#[tokio::test]
async fn a_client_that_leaves_closes_the_functions_connection() {
    let hand = by_hand().await;
    // Before an answer, within the body of the request, and within the answer.
    let client = hand.client("GET /function/f HTTP/1.1\r\nhost: g\r\n\r\n").await;
    let (mut replica, _) = hand.call().await;
    drop(client);
    assert_eq!(rest(&mut replica).await, "");
    let client = hand.client(&format!("{POST}content-length: 10\r\n\r\nhello")).await;
    let (mut replica, _) = hand.call().await;
    until(&mut replica, "hello").await;
    drop(client);
    assert_eq!(rest(&mut replica).await, "");
    let mut client = hand.client("GET /function/f HTTP/1.1\r\nhost: g\r\n\r\n").await;
    let (mut replica, _) = hand.call().await;
    write(&mut replica, "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello").await;
    until(&mut client, "hello").await;
    drop(client);
    assert_eq!(rest(&mut replica).await, "");
    hand.served.stop().await;
}

#[tokio::test]
async fn a_post_that_may_have_been_processed_is_not_sent_again_and_a_get_is() {
    let hand = by_hand().await;
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    for (second, status) in [
        (format!("{POST}content-length: 5\r\n\r\nhello"), "502"),
        (POST.replace("POST", "GET") + "\r\n", "200"),
    ] {
        let mut client = hand.client("GET /function/f HTTP/1.1\r\nhost: g\r\n\r\n").await;
        let (mut replica, _) = hand.call().await;
        write(&mut replica, answer).await;
        until(&mut client, "ok").await;
        // The next one goes over the same connection, which dies under it.
        write(&mut client, &second).await;
        until(&mut replica, if second.ends_with("hello") { "hello" } else { "\r\n\r\n" }).await;
        drop(replica);
        let retried = async {
            let (mut replica, _) = hand.call().await;
            write(&mut replica, answer).await;
            std::future::pending::<()>().await;
        };
        let told = tokio::select! {
            told = until(&mut client, if status == "200" { "ok" } else { ".\n" }) => told,
            () = retried => unreachable!(),
        };
        assert!(told.starts_with(&format!("HTTP/1.1 {status} ")), "{second}: {told}");
    }
    hand.served.stop().await;
}

#[tokio::test]
async fn a_body_gets_the_type_of_the_request_where_it_has_none() {
    let hand = by_hand().await;
    let mut client = hand.client("").await;
    let mut replica = None;
    for (sent, answer, want) in [
        ("content-type: application/json\r\n", "content-length: 2\r\n\r\nok", Some("application/json")),
        ("", "content-length: 2\r\n\r\nok", Some("text/plain")),
        ("content-type: a/b\r\n", "content-type: c/d\r\ncontent-length: 2\r\n\r\nok", Some("c/d")),
        ("content-type: a/b\r\n", "content-length: 0\r\n\r\n", None),
    ] {
        write(&mut client, &format!("{POST}{sent}content-length: 0\r\n\r\n")).await;
        let replica = match &mut replica {
            Some(replica) => replica,
            none => none.insert(hand.accept().await),
        };
        let head = until(replica, "\r\n\r\n").await;
        assert_eq!(head.contains("content-type"), !sent.is_empty(), "none is invented: {head}");
        write(replica, &format!("HTTP/1.1 200 OK\r\n{answer}")).await;
        let end = if answer.ends_with("ok") { "ok" } else { "\r\n\r\n" };
        let told = until(&mut client, end).await;
        let typed = told.lines().find_map(|line| line.strip_prefix("content-type: "));
        assert_eq!(typed, want, "{told}");
        let took =
            told.lines().find_map(|line| line.strip_prefix("x-duration-seconds: ")).expect("a duration");
        assert!(took.parse::<f64>().expect("a number") < 20.0, "{told}");
    }
    drop(client);
    hand.served.stop().await;
}
