//! Hosts and paths that lead to functions, and nowhere else.

use std::sync::Arc;

use gateway::{Config, DomainRule};
use http::Response;
use provider::{Body, Memory};

use crate::support::{Served, id, running};

/// Functions that answer with their name, and the target and the host that they see.
async fn telling(names: &[&str]) -> Arc<Memory> {
    running(names, |call| {
        let host = call.request.headers()["x-forwarded-host"].to_str().expect("text").to_owned();
        let told = format!("{} {} {host}", call.function, call.request.uri());
        Box::pin(async move { Ok(Response::new(Body::from(told))) })
    })
    .await
}

fn rule(host: &str, path: &str, function: &str) -> DomainRule {
    DomainRule { host: host.into(), path: path.into(), function: id(function), keep_path: false }
}

async fn ask(served: &Served, host: &str, target: &str) -> (u16, String) {
    let answer =
        served.raw(format!("GET {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n")).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    (status, body.trim_end().to_owned())
}

#[tokio::test]
async fn a_mapped_host_serves_its_functions_alone() {
    let config = Config::default();
    let domains = config.domains.clone();
    let served = Served::start(telling(&["home", "orders"]).await, config).await;
    assert_eq!(ask(&served, "api.example.com", "/healthz").await.0, 200, "nothing is mapped yet");
    domains
        .replace(vec![
            rule("api.example.com", "/", "home"),
            rule("api.example.com", "/v1/orders", "orders"),
            rule("shop.example.com", "/gone", "missing"),
        ])
        .expect("a right map");
    let check = async |host: &str, target: &str, status: u16, body: &str| {
        assert_eq!(ask(&served, host, target).await, (status, body.to_owned()), "{host} {target}");
    };
    check("API.example.com:8443", "/", 200, "home.openfaas-fn / API.example.com:8443").await;
    check(
        "api.example.com",
        "/a//%2F/../b?q=%20",
        200,
        "home.openfaas-fn /a//%2F/../b?q=%20 api.example.com",
    )
    .await;
    check("api.example.com", "/v1/orders?id=7", 200, "orders.openfaas-fn /?id=7 api.example.com").await;
    check("api.example.com", "/v1/orders/7", 200, "orders.openfaas-fn /7 api.example.com").await;
    check("api.example.com", "/system/functions", 200, "home.openfaas-fn /system/functions api.example.com")
        .await;
    for hidden in
        ["/", "/healthz", "/ui/", "/system/functions", "/system/info", "/function/home", "//", "/x/../.."]
    {
        check("shop.example.com", hidden, 404, "404 page not found").await;
    }
    assert_eq!(ask(&served, "shop.example.com", "/gone").await.0, 404, "a function that is not there");
    check("gateway.internal", "/function/home/x", 200, "home.openfaas-fn /x gateway.internal").await;
    assert_eq!(ask(&served, "gateway.internal", "/healthz").await.0, 200);
    served.stop().await;
}

#[tokio::test]
async fn a_challenge_is_answered_before_the_map() {
    let config = Config::default();
    let challenges = config.challenges.clone();
    config.domains.replace(vec![rule("api.example.com", "/", "home")]).expect("a right map");
    let served = Served::start(telling(&["home"]).await, config).await;
    let path = "/.well-known/acme-challenge/tok-en";
    let answering = challenges.answer("tok-en", "tok-en.thumb");
    for host in ["api.example.com", "other.example.com"] {
        assert_eq!(ask(&served, host, path).await, (200, "tok-en.thumb".into()));
    }
    drop(answering);
    assert_eq!(ask(&served, "other.example.com", path).await.0, 404);
    served.stop().await;
}
