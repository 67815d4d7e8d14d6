//! Connections that change their protocol: WebSockets, and whatever else two ends agree upon.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use gateway::Config;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, accept_async, client_async};

use crate::by_hand::{ByHand, rest, until, write};
use crate::support::in_time;

const ASK: &str =
    "GET /function/f/x HTTP/1.1\r\nhost: g\r\nconnection: keep-alive, Upgrade\r\nupgrade: echo/1\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo/1\r\n\r\n";

async fn by_hand() -> ByHand {
    ByHand::start(Config::default(), &[]).await
}

/// A WebSocket through the gateway: the client's end and the function's.
async fn websocket(hand: &ByHand) -> (WebSocketStream<TcpStream>, WebSocketStream<TcpStream>) {
    let client = TcpStream::connect(hand.served.api).await.expect("connect");
    let connect = client_async(format!("ws://{}/function/f/chat?room=1", hand.served.api), client);
    let accept = async { accept_async(hand.accept().await).await };
    let (client, function) = in_time(async { tokio::join!(connect, accept) }).await;
    let (client, response) = client.expect("the client's handshake");
    assert!(response.headers().contains_key("x-call-id"));
    (client, function.expect("the function's handshake"))
}

#[tokio::test]
async fn messages_pass_both_ways_at_once() {
    let hand = by_hand().await;
    let (mut client, mut function) = websocket(&hand).await;
    in_time(client.send("hello".into())).await.expect("send");
    assert_eq!(in_time(function.next()).await.expect("a message").expect("no error"), "hello".into());
    in_time(function.send(Message::Ping("there?".into()))).await.expect("send");
    assert_eq!(
        in_time(client.next()).await.expect("a message").expect("no error"),
        Message::Ping("there?".into())
    );
    // More than all buffers between them hold, from both ends at once.
    let large = |byte: u8| Message::binary(vec![byte; 1 << 20]);
    let (mut client_out, mut client_in) = client.split();
    let (mut function_out, mut function_in) = function.split();
    let up = async {
        for n in 0..16 {
            client_out.send(large(n)).await.expect("send");
        }
    };
    let down = async {
        for n in 0..16 {
            function_out.send(large(n)).await.expect("send");
        }
    };
    let at_function = async {
        for n in 0..16 {
            // The answer to the ping is on its way too.
            let mut message = function_in.next().await.expect("a message").expect("no error");
            if message.is_pong() {
                message = function_in.next().await.expect("a message").expect("no error");
            }
            assert_eq!(message, large(n));
        }
    };
    let at_client = async {
        for n in 0..16 {
            assert_eq!(client_in.next().await.expect("a message").expect("no error"), large(n));
        }
    };
    in_time(async { tokio::join!(up, down, at_function, at_client) }).await;
    drop((client_out, client_in, function_out, function_in));
    hand.served.stop().await;
}

/// Every message until the orderly end; then the connection is closed.
async fn all_of(mut socket: WebSocketStream<TcpStream>) -> Vec<Message> {
    let mut messages = Vec::new();
    while let Some(message) = socket.next().await {
        messages.push(message.expect("no error"));
    }
    messages
}

#[tokio::test]
async fn closing_codes_pass_both_ways() {
    let hand = by_hand().await;
    for by_client in [true, false] {
        let (client, function) = websocket(&hand).await;
        let (mut closing, closed) = if by_client { (client, function) } else { (function, client) };
        let frame = CloseFrame { code: CloseCode::Library(4001), reason: "enough".into() };
        in_time(closing.close(Some(frame.clone()))).await.expect("close");
        // Both see the frame, and then the end.
        let both = in_time(async { tokio::join!(all_of(closed), all_of(closing)) }).await;
        let frame = Message::Close(Some(frame));
        assert_eq!(both, (vec![frame.clone()], vec![frame]));
    }
    hand.counted("gateway_function_invocation_total{function_name=\"f.openfaas-fn\",code=\"101\"} 2").await;
    hand.served.stop().await;
}

#[tokio::test]
async fn an_end_that_vanishes_is_seen_by_the_other() {
    let hand = by_hand().await;
    let (client, mut function) = websocket(&hand).await;
    drop(client);
    assert!(matches!(in_time(function.next()).await, Some(Err(Error::Protocol(_) | Error::Io(_))) | None));
    drop(function);
    let (mut client, function) = websocket(&hand).await;
    drop(function);
    assert!(matches!(in_time(client.next()).await, Some(Err(Error::Protocol(_) | Error::Io(_))) | None));
    drop(client);
    hand.served.stop().await;
}

#[tokio::test]
async fn a_function_that_refuses_is_heard_and_the_connection_goes_on() {
    let hand = by_hand().await;
    let mut client = hand.client(ASK).await;
    let (mut replica, _) = hand.call().await;
    write(&mut replica, "HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno").await;
    let answer = until(&mut client, "no").await;
    assert!(answer.starts_with("HTTP/1.1 403 ") && !answer.contains("upgrade"), "{answer}");
    write(&mut client, "GET /function/f HTTP/1.1\r\nhost: g\r\nconnection: close\r\n\r\n").await;
    let head = until(&mut replica, "\r\n\r\n").await;
    assert!(!head.contains("upgrade"), "{head}");
    write(&mut replica, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    assert!(rest(&mut client).await.ends_with("ok"));
    hand.served.stop().await;
}

#[tokio::test]
async fn any_protocol_may_be_switched_to_and_each_half_ends_by_itself() {
    let hand = by_hand().await;
    // Said before the answer is there.
    let mut client = hand.client(&format!("{ASK}early ")).await;
    let (mut replica, head) = hand.call().await;
    assert!(head.starts_with("GET /x HTTP/1.1\r\n"), "{head}");
    assert!(
        head.contains("\r\nconnection: upgrade\r\n") && head.contains("\r\nupgrade: echo/1\r\n"),
        "{head}"
    );
    write(&mut replica, &format!("{SWITCH}welcome")).await;
    let answer = until(&mut client, "welcome").await;
    assert!(answer.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{answer}");
    for header in ["connection: upgrade\r\n", "upgrade: echo/1\r\n", "x-call-id: "] {
        assert!(answer.contains(header), "without {header}: {answer}");
    }
    assert_eq!(hand.in_flight(), 1);
    write(&mut client, "and late").await;
    client.shutdown().await.expect("shutdown");
    assert_eq!(rest(&mut replica).await, "early and late");
    write(&mut replica, "still here").await;
    drop(replica);
    assert_eq!(rest(&mut client).await, "still here");
    hand.counted("gateway_function_invocation_total{function_name=\"f.openfaas-fn\",code=\"101\"} 1").await;
    assert_eq!(hand.in_flight(), 0);
    hand.served.stop().await;
}

#[tokio::test]
async fn what_is_no_upgrade_goes_on_as_none() {
    let hand = by_hand().await;
    let mut client = hand.client("").await;
    let mut replica = None;
    for headers in [
        "connection: upgrade\r\nupgrade: h2c\r\n",
        "connection: upgrade\r\nupgrade: websocket, h2c\r\n",
        "connection: upgrade\r\nupgrade: websocket\r\nupgrade: other\r\n",
        "upgrade: websocket\r\n",
        "connection: upgrade\r\n",
    ] {
        write(&mut client, &format!("GET /function/f HTTP/1.1\r\nhost: g\r\n{headers}\r\n")).await;
        let replica = match &mut replica {
            Some(replica) => replica,
            none => none.insert(hand.accept().await),
        };
        let head = until(replica, "\r\n\r\n").await;
        assert!(!head.contains("upgrade"), "{headers}: {head}");
        write(replica, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
        until(&mut client, "ok").await;
    }
    // A function that switches without being asked.
    write(&mut client, "GET /function/f HTTP/1.1\r\nhost: g\r\n\r\n").await;
    let replica = replica.as_mut().expect("it is connected");
    until(replica, "\r\n\r\n").await;
    write(replica, SWITCH).await;
    let answer = until(&mut client, ".\n").await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    drop(client);
    hand.served.stop().await;
}

#[tokio::test]
async fn a_function_that_is_silent_after_its_client_has_left_is_left_too() {
    let hand = ByHand::start(Config::default(), &[("minke/timeout", "80ms")]).await;
    let mut client = hand.client(ASK).await;
    let (mut replica, _) = hand.call().await;
    write(&mut replica, SWITCH).await;
    until(&mut client, "\r\n\r\n").await;
    drop(client);
    assert_eq!(rest(&mut replica).await, "");
    hand.counted("gateway_function_invocation_total{function_name=\"f.openfaas-fn\",code=\"101\"} 1").await;
    hand.served.stop().await;
}

#[tokio::test]
async fn a_drain_waits_for_a_tunnel_and_cuts_it_in_the_end() {
    let mut hand = by_hand().await;
    let (mut client, mut function) = websocket(&hand).await;
    hand.served.begin_stop();
    in_time(client.send("late".into())).await.expect("send");
    assert_eq!(in_time(function.next()).await.expect("a message").expect("no error"), "late".into());
    in_time(client.close(None)).await.expect("close");
    in_time(function.next()).await.expect("a message").expect("no error");
    let _ = in_time(function.next()).await;
    drop((client, function));
    hand.served.stop().await;

    let mut hand = ByHand::draining(Duration::from_millis(50)).await;
    let (mut client, _function) = websocket(&hand).await;
    hand.served.begin_stop();
    hand.served.stop().await;
    assert!(!matches!(in_time(client.next()).await, Some(Ok(_))));
}

/// Not a byte is kept back, whatever the size of the pieces.
#[tokio::test]
async fn bytes_are_passed_as_they_come() {
    let hand = by_hand().await;
    let (client, function) = websocket(&hand).await;
    let (mut client, mut function) = (client.into_inner(), function.into_inner());
    for n in 0..100 {
        let (ping, pong) = (format!("ping{n};"), format!("pong{n};"));
        write(&mut client, &ping).await;
        assert_eq!(until(&mut function, ";").await, ping);
        write(&mut function, &pong).await;
        assert_eq!(until(&mut client, ";").await, pong);
    }
    // It is a WebSocket again for those who want one.
    let mut client = WebSocketStream::from_raw_socket(client, Role::Client, None).await;
    let mut function = WebSocketStream::from_raw_socket(function, Role::Server, None).await;
    in_time(client.send("again".into())).await.expect("send");
    assert_eq!(in_time(function.next()).await.expect("a message").expect("no error"), "again".into());
    drop((client, function));
    hand.served.stop().await;
}
