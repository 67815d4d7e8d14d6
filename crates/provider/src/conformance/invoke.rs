//! Calls: what the caller sends is what the function gets, and the other way round.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};

use crate::Body;

use super::Subject;

super::suite![
    method_target_and_headers_arrive,
    repeated_headers_stay_repeated,
    bodies_of_any_size_come_back,
    the_functions_status_is_the_answers,
    calls_at_once_do_not_mix,
];

async fn method_target_and_headers_arrive(subject: Subject) {
    let id = subject.deployed(subject.spec("conf-call")).await;
    let targets = ["/", "/a/b", "/a%2Fb%20c/", "/?q=1&q=2", "/x?y=%23%25", "/a//b", "/%E2%82%AC"];
    for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS] {
        for target in targets {
            let request =
                Request::builder().method(&method).uri(target).header("X-Odd", "a b;c").body(Body::Empty);
            let response = subject.call(&id, request.expect("request")).await;
            assert_eq!(told(&response, "x-echo-method"), [method.as_str()]);
            assert_eq!(told(&response, "x-echo-target"), [target], "{method}");
            assert!(
                told(&response, "x-echo-header").contains(&"x-odd: a b;c".to_owned()),
                "{:?}",
                response.headers()
            );
        }
    }
    subject.remove(&id).await;
}

async fn repeated_headers_stay_repeated(subject: Subject) {
    let id = subject.deployed(subject.spec("conf-headers")).await;
    let mut request = Request::new(Body::Empty);
    for value in ["one", "two", "two"] {
        request.headers_mut().append("x-many", value.parse().expect("value"));
    }
    let response = subject.call(&id, request).await;
    let many: Vec<_> =
        told(&response, "x-echo-header").into_iter().filter(|h| h.starts_with("x-many")).collect();
    assert_eq!(many, ["x-many: one", "x-many: two", "x-many: two"]);
    subject.remove(&id).await;
}

async fn bodies_of_any_size_come_back(subject: Subject) {
    let id = subject.deployed(subject.spec("conf-body")).await;
    for size in [0, 1, 1024, 65_536, 5 * 1024 * 1024] {
        let body: Bytes = (0..size).map(|n: usize| (n * 31 % 251) as u8).collect::<Vec<u8>>().into();
        let request = Request::builder().method(Method::POST).header("content-length", size);
        let request = request.uri("/").body(Body::Full(body.clone()));
        let response = subject.call(&id, request.expect("request")).await;
        assert_eq!(response.status(), 200);
        let length = format!("content-length: {size}");
        assert!(told(&response, "x-echo-header").contains(&length), "{size}: {:?}", response.headers());
        assert!(*response.body() == body, "{size} bytes went, {} came back", response.body().len());
    }
    subject.remove(&id).await;
}

async fn the_functions_status_is_the_answers(subject: Subject) {
    let id = subject.deployed(subject.spec("conf-status")).await;
    for status in [200, 201, 204, 302, 400, 404, 418, 500, 503] {
        let request = Request::builder().uri(format!("/?status={status}")).body(Body::Empty);
        let response = subject.call(&id, request.expect("request")).await;
        assert_eq!(response.status().as_u16(), status);
        assert!(!told(&response, "x-echo-target").is_empty(), "{status} came from the function");
    }
    subject.remove(&id).await;
}

async fn calls_at_once_do_not_mix(subject: Subject) {
    let id = subject.deployed(subject.spec("conf-many-calls")).await;
    let calls = (0..64).map(|n| {
        let (subject, id) = (subject.clone(), id.clone());
        tokio::spawn(async move {
            let body = Bytes::from(format!("{n}").repeat(2000));
            let request =
                Request::builder().method(Method::POST).uri(format!("/{n}")).body(Body::Full(body.clone()));
            let response = subject.call(&id, request.expect("request")).await;
            assert_eq!(told(&response, "x-echo-target"), [format!("/{n}")]);
            assert_eq!(*response.body(), body);
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.expect("a call");
    }
    subject.remove(&id).await;
}

fn told(response: &Response<Bytes>, name: &str) -> Vec<String> {
    let headers: &HeaderMap = response.headers();
    headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect()
}
