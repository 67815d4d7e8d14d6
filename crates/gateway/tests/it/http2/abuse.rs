//! Clients that mean harm: what they may do is bounded, and others are served meanwhile.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use gateway::Config;
use h2::{Reason, client};
use http::Response;
use provider::Body;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use super::support::{begin, call, connect, connect_as, post, whole};
use crate::support::{Served, echoing, in_time, running};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Method, scheme, `:authority: g` and `:path: /function/f`, in HPACK without a table.
const HEAD: &[u8] = b"\x83\x86\x01\x01g\x04\x0b/function/f";

/// Frames by hand.
struct Hand(TcpStream);

impl Hand {
    async fn connect(address: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(address).await.expect("connect");
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.expect("preface");
        stream.write_all(&frame(SETTINGS, 0, 0, b"")).await.expect("settings");
        Self(stream)
    }

    /// What is written may meet a closed door.
    async fn write(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).await.is_ok()
    }

    /// Reads on; true when the connection has ended.
    async fn ended(&mut self) -> bool {
        let mut piece = [0; 4096];
        while self.0.read(&mut piece).await.is_ok_and(|read| read > 0) {}
        true
    }

    /// The reason of the goodbye that the connection ends with.
    async fn goodbye(mut self) -> Option<Reason> {
        let mut reason = None;
        let mut head = [0; 9];
        while in_time(self.0.read_exact(&mut head)).await.is_ok() {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let mut payload = vec![0; length];
            if in_time(self.0.read_exact(&mut payload)).await.is_err() {
                break;
            }
            if head[3] == GOAWAY {
                reason = Some(u32::from_be_bytes(payload[4..8].try_into().expect("four bytes")).into());
            }
        }
        reason
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

async fn serves_on(served: &Served) {
    let (client, _) = connect(served.api).await;
    assert_eq!(call(&client, post("/function/f"), "").await.expect("an answer").0.status, 200);
}

#[tokio::test]
async fn rapid_resets_end_the_connection() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let memory = running(&["f"], move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        Box::pin(async { Ok(Response::new(Body::Empty)) })
    })
    .await;
    let served = Served::start(memory, Config::default()).await;
    let mut client = Hand::connect(served.api).await;
    let cancel = u32::from(Reason::CANCEL).to_be_bytes();
    let mut flood = Vec::new();
    for stream in (1..40_001).step_by(2) {
        flood.extend(frame(HEADERS, END_HEADERS | END_STREAM, stream, HEAD));
        flood.extend(frame(RST_STREAM, 0, stream, &cancel));
    }
    client.write(&flood).await;
    assert_eq!(client.goodbye().await.unwrap_or(Reason::ENHANCE_YOUR_CALM), Reason::ENHANCE_YOUR_CALM);
    let asked = asked.load(Ordering::SeqCst);
    assert!(asked < 1000, "{asked} calls of 20000 went to the function");
    serves_on(&served).await;
    served.stop().await;
}

#[tokio::test]
async fn calls_taken_back_after_they_began_are_bounded_too() {
    let (begun, mut begins) = tokio::sync::mpsc::unbounded_channel();
    let memory = running(&["f"], move |call| {
        let begun = begun.clone();
        Box::pin(async move {
            if call.request.uri().path() == "/ok" {
                return Ok(Response::new(Body::Empty));
            }
            let _ = begun.send(());
            std::future::pending().await
        })
    })
    .await;
    let served = Served::start(memory, Config::default()).await;
    let mut client = Hand::connect(served.api).await;
    let cancel = u32::from(Reason::CANCEL).to_be_bytes();
    let mut asked = 0;
    for stream in (1..20_001).step_by(2) {
        if !client.write(&frame(HEADERS, END_HEADERS | END_STREAM, stream, HEAD)).await {
            break;
        }
        // It is with the function when it is taken back, unless the connection is gone.
        let taken = tokio::select! {
            taken = begins.recv() => taken.is_some(),
            ended = client.ended() => !ended,
        };
        if !taken || !client.write(&frame(RST_STREAM, 0, stream, &cancel)).await {
            break;
        }
        asked += 1;
    }
    assert!((500..2000).contains(&asked), "{asked} calls went to the function");
    let (other, _) = connect(served.api).await;
    assert_eq!(call(&other, post("/function/f/ok"), "").await.expect("an answer").0.status, 200);
    served.stop().await;
}

#[tokio::test]
async fn endless_heads_end_the_connection() {
    let served =
        Served::start(echoing(&["f"]).await, Config { head_max: 16 * 1024, ..Config::default() }).await;
    for piece in [&b""[..], b"\x00\x01a\x01b", &[0; 1]] {
        let mut client = Hand::connect(served.api).await;
        client.write(&frame(HEADERS, END_STREAM, 1, HEAD)).await;
        let mut written = 0;
        // Each is a head that goes on.
        while written < 200_000 && client.write(&frame(CONTINUATION, 0, 1, piece)).await {
            written += 1;
        }
        client.goodbye().await;
        assert!(written < 200_000, "{written} frames are taken");
    }
    serves_on(&served).await;
    served.stop().await;
}

#[tokio::test]
async fn too_large_a_head_is_refused() {
    let served =
        Served::start(echoing(&["f"]).await, Config { head_max: 16 * 1024, ..Config::default() }).await;
    let (client, _) = connect(served.api).await;
    let mut request = post("/function/f");
    for n in 0..40 {
        let name: http::HeaderName = format!("x-{n}").parse().expect("a name");
        request.headers_mut().insert(name, "v".repeat(1000).parse().expect("a value"));
    }
    let refused = match call(&client, request, "").await {
        Ok((head, ..)) => head.status == 431,
        Err(_) => true,
    };
    assert!(refused);
    serves_on(&served).await;
    served.stop().await;
}

#[tokio::test]
async fn floods_of_empty_frames_pings_and_settings_are_bounded() {
    let served = Served::start(echoing(&["f"]).await, Config::default()).await;
    let open = frame(HEADERS, END_HEADERS, 1, HEAD);
    for (first, each) in [
        (vec![], frame(PING, 0, 0, &[0; 8])),
        (vec![], frame(SETTINGS, 0, 0, b"")),
        (open, frame(DATA, 0, 1, b"")),
    ] {
        // The client reads nothing of what it is answered.
        let mut client = Hand::connect(served.api).await;
        client.write(&first).await;
        let flood = each.repeat(4000);
        let written = tokio::time::timeout(std::time::Duration::from_millis(500), async {
            while client.write(&flood).await {}
        });
        let _ = written.await;
        serves_on(&served).await;
    }
    served.stop().await;
}

#[tokio::test]
async fn a_thousand_calls_wait_their_turn_or_are_refused() {
    let gate = Arc::new(Semaphore::new(0));
    let (held, most) = (Arc::clone(&gate), Arc::new(AtomicUsize::new(0)));
    let under_way = Arc::clone(&most);
    let memory = running(&["f"], move |_| {
        let (gate, under_way) = (Arc::clone(&held), Arc::clone(&under_way));
        Box::pin(async move {
            under_way.fetch_add(1, Ordering::SeqCst);
            gate.acquire().await.expect("never closed").forget();
            under_way.fetch_sub(1, Ordering::SeqCst);
            Ok(Response::new(Body::from("ok")))
        })
    })
    .await;
    let served = Served::start(memory, Config::default()).await;
    // One that keeps to what it is told.
    let (client, _) = connect(served.api).await;
    call(&client, post("/nothing"), "").await.expect("the settings are known");
    let calls = (0..1000).map(|_| {
        let client = client.clone();
        tokio::spawn(async move { call(&client, post("/function/f"), "").await })
    });
    let calls: Vec<_> = calls.collect();
    in_time(async {
        while most.load(Ordering::SeqCst) < 256 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // One that does not.
    let mut rude = Hand::connect(served.api).await;
    let mut flood = Vec::new();
    for stream in (1..2001).step_by(2) {
        flood.extend(frame(HEADERS, END_HEADERS | END_STREAM, stream, HEAD));
    }
    rude.write(&flood).await;
    let refused = in_time(async {
        let mut head = [0; 9];
        loop {
            rude.0.read_exact(&mut head).await.expect("a frame");
            let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
            rude.0.read_exact(&mut payload).await.expect("a frame");
            if head[3] == RST_STREAM {
                return Reason::from(u32::from_be_bytes(payload.try_into().expect("four bytes")));
            }
            if head[3] == GOAWAY {
                return Reason::from(u32::from_be_bytes(payload[4..8].try_into().expect("four bytes")));
            }
        }
    })
    .await;
    assert!([Reason::REFUSED_STREAM, Reason::ENHANCE_YOUR_CALM].contains(&refused), "{refused:?}");
    assert!(most.load(Ordering::SeqCst) <= 512, "no more than each may have");
    gate.add_permits(5000);
    for call in calls {
        let (head, body, _) = in_time(call).await.expect("no panic").expect("an answer");
        assert_eq!((head.status.as_u16(), body), (200, Bytes::from_static(b"ok")));
    }
    served.stop().await;
}

#[tokio::test]
async fn a_body_beyond_its_length_is_malformed() {
    let served = Served::start(echoing(&["f"]).await, Config::default()).await;
    let (client, _) = connect_as(served.api, &client::Builder::new()).await;
    let mut request = post("/function/f");
    request.headers_mut().insert("content-length", "3".parse().expect("a value"));
    let (response, mut stream) = begin(&client, request).await;
    let _ = stream.send_data("more than three".into(), true);
    let whole = match in_time(response).await {
        Ok(answer) if answer.status() == 200 => whole(answer.into_body()).await.is_ok(),
        _ => false,
    };
    assert!(!whole, "it is not answered as if it were well");
    serves_on(&served).await;
    served.stop().await;
}
