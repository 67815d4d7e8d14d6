//! A call: both directions at once, trailers, lengths, and its end.

use bytes::Bytes;
use h2::Reason;
use h2::server::Builder;
use http::{HeaderMap, HeaderValue, Response};
use http_body::{Body as _, Frame};
use http_body_util::BodyExt;
use provider::Body;
use provider::http2::SendError;
use tokio::sync::mpsc;

use crate::support::{Server, in_time, ok, post, read, reply, reset, send, streamed, whole};

#[tokio::test]
async fn the_head_is_http2s_own() {
    let server = Server::start(Builder::new(), |request, respond| {
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let headers: Vec<_> = head.headers.keys().map(|name| name.as_str().to_owned()).collect();
            let told = format!("{} {} {headers:?} {}", head.method, head.uri, read(body).await.len());
            reply(respond, Response::new(()), told.into());
        })
    })
    .await;
    let client = server.client();
    let mut request = post("/p.S/M%2F?q", "hello");
    for (name, value) in [("host", "me"), ("connection", "x"), ("content-length", "5"), ("x-a", "1")] {
        request.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    let (told, _) = whole(send(&client, request).await.expect("an answer")).await;
    assert_eq!(told, "POST http://function:8080/p.S/M%2F?q [\"content-length\", \"x-a\"] 5");
    let get = http::Request::get("/").body(Body::Empty).expect("a request");
    let (told, _) = whole(send(&client, get).await.expect("an answer")).await;
    assert_eq!(told, "GET http://function:8080/ [] 0");
}

#[tokio::test]
async fn trailers_go_both_ways() {
    let server = Server::start(Builder::new(), |request, mut respond| {
        Box::pin(async move {
            let mut body = request.into_body();
            assert_eq!(body.data().await.expect("data").expect("data"), "hello");
            let trailers = body.trailers().await.expect("trailers").expect("trailers");
            let mut stream = respond.send_response(Response::new(()), false).expect("head");
            stream.send_data("world".into(), false).expect("data");
            stream.send_trailers(trailers).expect("trailers");
        })
    })
    .await;
    let client = server.client();
    let (frames, body) = streamed();
    frames.send(Ok(Frame::data("hello".into()))).expect("sent");
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("7"));
    frames.send(Ok(Frame::trailers(trailers.clone()))).expect("sent");
    let response = send(&client, post("/", body)).await.expect("an answer");
    assert_eq!(whole(response).await, ("world".into(), Some(trailers)));
}

#[tokio::test]
async fn an_answer_without_a_body_ends_with_its_head() {
    let server = Server::start(Builder::new(), |_, mut respond| {
        Box::pin(async move {
            let response = Response::builder().header("grpc-status", "12").body(()).expect("head");
            respond.send_response(response, true).expect("head");
        })
    })
    .await;
    let response = send(&server.client(), post("/", "x")).await.expect("an answer");
    assert_eq!(response.headers()["grpc-status"], "12");
    assert!(response.body().is_end_stream());
}

#[tokio::test]
async fn each_message_is_answered_before_the_next_is_sent() {
    let server = Server::start(Builder::new(), |request, mut respond| {
        Box::pin(async move {
            let mut stream = respond.send_response(Response::new(()), false).expect("head");
            let mut body = request.into_body();
            while let Some(Ok(data)) = body.data().await {
                let _ = body.flow_control().release_capacity(data.len());
                stream.send_data(data, false).expect("data");
            }
            stream.send_data(Bytes::new(), true).expect("end");
        })
    })
    .await;
    let (frames, body) = streamed();
    let mut response = send(&server.client(), post("/", body)).await.expect("an answer").into_body();
    for n in 0..50 {
        let message = Bytes::from(format!("message {n}"));
        frames.send(Ok(Frame::data(message.clone()))).expect("sent");
        let echoed = in_time(response.frame()).await.expect("a frame").expect("a frame");
        assert_eq!(echoed.into_data().expect("data"), message);
    }
    drop(frames);
    assert!(in_time(response.frame()).await.is_none());
}

#[tokio::test]
async fn large_bodies_pass_through_small_windows() {
    let mut settings = Builder::new();
    settings.initial_window_size(20_000).initial_connection_window_size(70_000);
    let server = Server::start(settings, ok).await;
    let client = server.client();
    let large: Bytes = (0..5_000_000u32).map(|n| (n / 7) as u8).collect::<Vec<_>>().into();
    let both = [send(&client, post("/", large.clone())), send(&client, post("/", large.clone()))];
    for response in futures_util::future::join_all(both).await {
        let (body, _) = whole(response.expect("an answer")).await;
        assert!(body == large, "{} bytes", body.len());
    }
}

#[tokio::test]
async fn giving_up_resets_the_stream() {
    let (resets, mut reset_with) = mpsc::unbounded_channel();
    let (begun, mut begins) = mpsc::unbounded_channel();
    let server = Server::start(Builder::new(), move |request, mut respond| {
        let (resets, begun) = (resets.clone(), begun.clone());
        Box::pin(async move {
            if request.uri().path() == "/head" {
                let mut stream = respond.send_response(Response::new(()), false).expect("head");
                let reset = std::future::poll_fn(|cx| stream.poll_reset(cx)).await;
                let _ = resets.send(reset.expect("the connection lives"));
                return;
            }
            let _ = begun.send(());
            let _ = resets.send(reset(&mut respond).await);
        })
    })
    .await;
    let client = server.client();
    {
        let mut unanswered = std::pin::pin!(send(&client, post("/", "x")));
        tokio::select! {
            _ = &mut unanswered => panic!("it is answered"),
            _ = begins.recv() => {}
        }
    }
    assert_eq!(in_time(reset_with.recv()).await, Some(Reason::CANCEL));
    drop(send(&client, post("/head", "x")).await.expect("a head"));
    assert_eq!(in_time(reset_with.recv()).await, Some(Reason::CANCEL));
    assert_eq!(server.connections(), 1, "the connection lives on");
}

#[tokio::test]
async fn a_body_that_fails_is_its_senders_fault() {
    let (resets, mut reset_with) = mpsc::unbounded_channel();
    let server = Server::start(Builder::new(), move |_, mut respond| {
        let resets = resets.clone();
        Box::pin(async move {
            let _ = resets.send(reset(&mut respond).await);
        })
    })
    .await;
    let client = server.client();
    let (frames, body) = streamed();
    frames.send(Ok(Frame::data("x".into()))).expect("sent");
    frames.send(Err("gone".into())).expect("sent");
    let Err(SendError::RequestBody(error)) = send(&client, post("/", body)).await else {
        panic!("it is sent")
    };
    assert_eq!(error.to_string(), "gone");
    assert_eq!(in_time(reset_with.recv()).await, Some(Reason::CANCEL));
}

#[tokio::test]
async fn a_length_is_told_on() {
    let server = Server::start(Builder::new(), |_, respond| {
        Box::pin(async move {
            let response = Response::builder().header("content-length", "5").body(()).expect("head");
            reply(respond, response, "hello".into());
        })
    })
    .await;
    let response = send(&server.client(), post("/", "")).await.expect("an answer");
    assert_eq!(response.body().size_hint().exact(), Some(5));
    assert_eq!(whole(response).await.0, "hello");
}

#[tokio::test]
async fn a_caller_that_does_not_read_may_go_on_sending() {
    let (heard, mut hears) = mpsc::unbounded_channel();
    let server = Server::start(Builder::new(), move |request, mut respond| {
        let heard = heard.clone();
        Box::pin(async move {
            let mut stream = respond.send_response(Response::new(()), false).expect("head");
            // More than any window takes.
            stream.send_data(vec![0; 1_000_000].into(), false).expect("data");
            let _ = heard.send(read(request.into_body()).await.len());
            stream.send_data(Bytes::new(), true).expect("end");
        })
    })
    .await;
    let (frames, body) = streamed();
    let response = send(&server.client(), post("/", body)).await.expect("an answer");
    for _ in 0..10 {
        frames.send(Ok(Frame::data(vec![0; 100_000].into()))).expect("sent");
    }
    drop(frames);
    assert_eq!(in_time(hears.recv()).await, Some(1_000_000));
    assert_eq!(whole(response).await.0.len(), 1_000_000);
}

#[tokio::test]
async fn a_body_that_fails_within_the_answer_breaks_it() {
    let server = Server::start(Builder::new(), |_, mut respond| {
        Box::pin(async move {
            let mut stream = respond.send_response(Response::new(()), false).expect("head");
            let _ = std::future::poll_fn(|cx| stream.poll_reset(cx)).await;
        })
    })
    .await;
    let (frames, body) = streamed();
    let mut response = send(&server.client(), post("/", body)).await.expect("an answer").into_body();
    frames.send(Err("gone".into())).expect("sent");
    let broken = in_time(response.frame()).await.expect("an end").expect_err("no frame");
    assert_eq!(broken.source().expect("a cause").to_string(), "gone", "{broken}");
}
