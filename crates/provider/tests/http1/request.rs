//! What goes onto the wire.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request};
use http_body::Frame;
use provider::body::Body;
use provider::http1::SendError;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::*;

/// What a server reads when `request` is sent, to the byte.
async fn wire(request: Request<Body>, length: usize) -> String {
    let (tell, told) = tokio::sync::oneshot::channel();
    let tell = std::sync::Arc::new(std::sync::Mutex::new(Some(tell)));
    let address = serve(move |_, mut stream| {
        let tell = tell.lock().unwrap().take().unwrap();
        async move {
            let text = read_text(&mut stream, length).await;
            stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await.unwrap();
            stream.shutdown().await.unwrap();
            let mut rest = String::new();
            let _ = stream.read_to_string(&mut rest).await;
            tell.send(text + &rest).unwrap();
        }
    })
    .await;
    within(client(address).client.send(request)).await.unwrap();
    within(told).await.unwrap()
}

fn unsized_body(frames: Vec<Frame<Bytes>>) -> Body {
    let frames = frames.into_iter().map(Ok::<_, std::io::Error>);
    Body::boxed(http_body_util::StreamBody::new(futures_util::stream::iter(frames)))
}

fn frame(bytes: &'static str) -> Frame<Bytes> {
    Frame::data(Bytes::from_static(bytes.as_bytes()))
}

#[tokio::test]
async fn writes_what_it_is_given() {
    let uri = |uri: &str, method: Method| Request::builder().method(method).uri(uri).header("host", "h");
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from_static("1"));
    trailers.insert("content-length", HeaderValue::from_static("9"));
    let (get, post) = (Method::GET, Method::POST);
    let cases = [
        (
            uri("/a//b/../%2e%2F;x/\"{}\\\\?q=%20a+b&&c='", get.clone()).body(Body::Empty),
            "GET /a//b/../%2e%2F;x/\"{}\\\\?q=%20a+b&&c=' HTTP/1.1\r\nhost: h\r\n\r\n",
        ),
        (uri("http://name:1/p?", get.clone()).body(Body::Empty), "GET /p? HTTP/1.1\r\nhost: h\r\n\r\n"),
        (uri("http://name:1?q", get.clone()).body(Body::Empty), "GET /?q HTTP/1.1\r\nhost: h\r\n\r\n"),
        (uri("*", Method::OPTIONS).body(Body::Empty), "OPTIONS * HTTP/1.1\r\nhost: h\r\n\r\n"),
        (
            Request::builder().uri("http://name:1/").body(Body::Empty),
            "GET / HTTP/1.1\r\nhost: name:1\r\n\r\n",
        ),
        (
            uri("/", get.clone()).header("b", "1").header("a", "2").header("b", "\u{fc}").body(Body::Empty),
            "GET / HTTP/1.1\r\nhost: h\r\nb: 1\r\nb: \u{fc}\r\na: 2\r\n\r\n",
        ),
        (uri("/", post.clone()).body(Body::Empty), "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\n\r\n"),
        (uri("/", Method::DELETE).body(Body::Empty), "DELETE / HTTP/1.1\r\nhost: h\r\n\r\n"),
        (
            uri("/", Method::DELETE).header("content-length", "0").body(Body::Empty),
            "DELETE / HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\n\r\n",
        ),
        (
            uri("/", Method::from_bytes(b"X-ODD").unwrap())
                .header("content-length", "7")
                .body("hello".into()),
            "X-ODD / HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\n\r\nhello",
        ),
        (
            uri("/", post.clone()).header("transfer-encoding", "chunked").body("hello".into()),
            "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\n\r\nhello",
        ),
        (
            uri("/", post.clone()).body(unsized_body(vec![
                frame("hello"),
                frame(""),
                frame("0123456789abcdef"),
            ])),
            "POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n\
             5\r\nhello\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n",
        ),
        (
            uri("/", post.clone())
                .header("content-length", "7")
                .body(unsized_body(vec![frame("hell"), frame("o 1")])),
            "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 7\r\n\r\nhello 1",
        ),
        (
            uri("/", post.clone()).body(unsized_body(vec![frame("x"), Frame::trailers(trailers)])),
            "POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nx-sum: 1\r\n\r\n",
        ),
        (
            uri("/", get).body(unsized_body(vec![])),
            "GET / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
    ];
    for (request, expected) in cases {
        assert_eq!(wire(request.unwrap(), expected.len()).await, expected);
    }
}

#[tokio::test]
async fn a_failing_body_is_the_senders_failure() {
    let cases = [
        ("5", vec![Ok(frame("hell"))], "shorter than its content-length"),
        ("5", vec![Ok(frame("hell")), Ok(frame("o!"))], "longer than its content-length"),
        ("5", vec![Ok(frame("hell")), Err("gone")], "gone"),
        ("", vec![Err("gone")], "gone"),
    ];
    for (length, frames, expected) in cases {
        let address = serve(|_, mut stream| async move {
            let mut bytes = Vec::new();
            let _ = stream.read_to_end(&mut bytes).await;
        })
        .await;
        let client = client(address);
        let body = Body::boxed(http_body_util::StreamBody::new(futures_util::stream::iter(frames)));
        let mut request = request(Method::POST, body);
        if !length.is_empty() {
            request.headers_mut().insert("content-length", length.parse().unwrap());
        }
        let error = within(client.client.send(request)).await.unwrap_err();
        assert!(matches!(error, SendError::RequestBody(_)), "{error:?}");
        assert!(words(&error).contains(expected), "{}", words(&error));
        assert_eq!(client.client.idle(), 0);
    }
}

#[tokio::test]
async fn refuses_to_tunnel() {
    let client = client(answering("HTTP/1.1 200 OK\r\n\r\n").await);
    let request = Request::builder().method(Method::CONNECT).uri("name:1").body(Body::Empty).unwrap();
    let error = within(client.client.send(request)).await.unwrap_err();
    assert!(matches!(error, SendError::Unsupported(_)));
    assert_eq!(client.dials(), 0);
}
