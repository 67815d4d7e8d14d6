//! Every route of the contract, byte for byte (dates and random parts aside).

use std::sync::Arc;

use async_trait::async_trait;
use gateway::Config;
use model::{FunctionId, FunctionSpec, FunctionStatus, Namespace, ProviderInfo};
use provider::{Provider, ProviderError, RouteTable};

use crate::support::{Served, echoing};

const PLAIN: &str = "content-type: text/plain; charset=utf-8\nx-content-type-options: nosniff\n";

/// `line` is method and target, then headers, one per line, then an empty line and the body.
pub fn request(line: &str) -> String {
    let (head, body) = line.split_once("\n\n").unwrap_or((line, ""));
    let (first, headers) = head.split_once('\n').unwrap_or((head, ""));
    let mut text = format!("{first} HTTP/1.1\r\nhost: gw.example\r\nconnection: close\r\n");
    for header in headers.lines() {
        text.push_str(&format!("{header}\r\n"));
    }
    if !body.is_empty() {
        text.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    format!("{text}\r\n{body}")
}

pub async fn check(served: &Served, line: &str, want: &str) {
    let got = served.golden(&request(line)).await;
    assert_eq!(ordered(&got), ordered(want), "{line}");
}

/// Headers in one order: only that of those with the same name means something, and the conformance suite holds it.
fn ordered(answer: &str) -> Vec<&str> {
    let (head, body) = answer.split_once("\n\n").unwrap_or((answer, ""));
    let mut lines: Vec<&str> = head.lines().collect();
    lines[1..].sort_unstable();
    lines.push(body);
    lines
}

pub fn empty(status: &str) -> String {
    format!("HTTP/1.1 {status}\nconnection: close\ncontent-length: 0\n\n")
}

pub fn text(status: &str, text: &str) -> String {
    format!("HTTP/1.1 {status}\n{PLAIN}connection: close\ncontent-length: {}\n\n{text}\n", text.len() + 1)
}

pub fn json(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\ncontent-type: application/json\nconnection: close\ncontent-length: {}\n\n{body}",
        body.len()
    )
}

#[tokio::test]
async fn what_is_not_a_function_or_management() {
    let served = Served::start(echoing(&[]).await, Config::default()).await;
    let moved = |status: &str, to: &str| {
        format!("HTTP/1.1 {status}\nlocation: {to}\nconnection: close\ncontent-length: 0\n\n")
    };
    let refused = |allowed: &str| {
        format!("HTTP/1.1 405 Method Not Allowed\nallow: {allowed}\nconnection: close\ncontent-length: 0\n\n")
    };
    let no_page = text("404 Not Found", "404 page not found");
    check(&served, "GET /", &moved("307 Temporary Redirect", "/ui/")).await;
    check(&served, "POST /", &refused("GET")).await;
    check(&served, "GET /healthz", &empty("200 OK")).await;
    check(&served, "POST /healthz", &refused("GET")).await;
    for line in [
        "GET /nothing",
        "GET /metrics",
        "GET /ui",
        "GET /ui/",
        "GET /function",
        "GET /function/",
        "OPTIONS *",
    ] {
        check(&served, line, &no_page).await;
    }
    for line in
        ["GET /function/a%20b", "POST /async-function/env", "GET /system/functions/", "GET /system/queue"]
    {
        check(&served, line, &no_page).await;
    }
    check(
        &served,
        "GET //system//functions?namespace=x",
        &moved("301 Moved Permanently", "/system/functions?namespace=x"),
    )
    .await;
    check(&served, "PUT /system/./functions", &moved("308 Permanent Redirect", "/system/functions")).await;
    check(&served, "PATCH /system/functions", &refused("GET, POST, PUT, DELETE")).await;
    check(&served, "POST /system/info", &refused("GET")).await;
    check(&served, "GET /system/scale-function/env", &refused("POST")).await;
    check(&served, "DELETE /system/function/env", &refused("GET")).await;
    served.stop().await;
}

#[tokio::test]
async fn the_life_of_a_function() {
    let served = Served::start(echoing(&[]).await, Config::default()).await;
    let accepted = empty("202 Accepted");
    let missing = |name: &str| text("404 Not Found", &format!("function {name}.openfaas-fn is not found"));
    let env =
        "{\"service\":\"env\",\"image\":\"ghcr.io/openfaas/alpine\",\"envProcess\":\"env\",\"labels\":null}";

    check(&served, "GET /system/functions", &json("[]")).await;
    check(&served, "GET /system/namespaces", &json("[\"openfaas-fn\"]")).await;
    check(&served, &format!("PUT /system/functions\n\n{env}"), &missing("env")).await;
    check(&served, &format!("POST /system/functions\n\n{env}"), &accepted).await;
    let exists = "function env.openfaas-fn already exists; update it or remove it first";
    check(&served, &format!("POST /system/functions\n\n{env}"), &text("409 Conflict", exists)).await;
    check(&served, &format!("PUT /system/functions\n\n{env}"), &accepted).await;
    check(&served, "POST /system/scale-function/env\n\n{\"serviceName\":\"env\",\"replicas\":0}", &accepted)
        .await;

    let status = served.raw(request("GET /system/function/env?usage=1")).await;
    let (_, status) = status.split_once("\r\n\r\n").expect("a head");
    let status: serde_json::Value = serde_json::from_str(status).expect("JSON");
    for absent in
        ["replicas", "availableReplicas", "invocationCount", "envVars", "limits", "requests", "usage"]
    {
        assert_eq!(status.get(absent), None, "{absent}");
    }
    assert_eq!(status["labels"], serde_json::json!({}));
    assert_eq!((&status["name"], &status["envProcess"]), (&"env".into(), &"env".into()));
    assert_eq!(status["image"], "ghcr.io/openfaas/alpine:latest");
    assert!(status["createdAt"].as_str().is_some_and(|at| at.starts_with("20")), "{status}");
    let list = served.raw(request("GET /system/functions?namespace=openfaas-fn")).await;
    assert!(list.ends_with(&format!("[{status}]")) || list.contains("\"name\":\"env\""), "{list}");

    let gone = empty("404 Not Found");
    check(&served, "GET /system/function/nobody", &gone).await;
    check(&served, "GET /system/function/Not_A_Name", &gone).await;
    check(&served, "POST /system/scale-function/nobody\n\n{\"replicas\":1}", &missing("nobody")).await;
    check(&served, "DELETE /system/functions\n\n{\"functionName\":\"env\"}", &accepted).await;
    check(&served, "DELETE /system/functions\n\n{\"functionName\":\"env\"}", &missing("env")).await;
    check(&served, "GET /system/function/env", &gone).await;
    served.stop().await;
}

#[tokio::test]
async fn the_namespace_may_be_in_the_body_or_the_query() {
    let served = Served::start(echoing(&[]).await, Config::default()).await;
    let accepted = empty("202 Accepted");
    for (query, body) in [
        ("", ""),
        ("?namespace=openfaas-fn", ""),
        ("", ",\"namespace\":\"openfaas-fn\""),
        ("?namespace=openfaas-fn", ",\"namespace\":\"openfaas-fn\""),
        ("?namespace=", ",\"namespace\":\"\""),
        ("?other=%zz&namespace=openfaas%2Dfn", ",\"namespace\":null"),
        ("?namespace=openfaas-fn&namespace=openfaas-fn", ""),
    ] {
        let env = format!("{{\"service\":\"env\",\"image\":\"env\"{body}}}");
        check(&served, &format!("POST /system/functions{query}\n\n{env}"), &accepted).await;
        check(&served, &format!("PUT /system/functions{query}\n\n{env}"), &accepted).await;
        let scale = format!("{{\"replicas\":2{body}}}");
        check(&served, &format!("POST /system/scale-function/env{query}\n\n{scale}"), &accepted).await;
        let delete = format!("{{\"functionName\":\"env\"{body}}}");
        check(&served, &format!("DELETE /system/functions{query}\n\n{delete}"), &accepted).await;
    }
    served.stop().await;
}

#[tokio::test]
async fn a_call_and_what_the_function_sees() {
    let served = Served::start(echoing(&["env"]).await, Config::default()).await;
    let answer = |target: &str, method: &str, headers: &str, call_id: &str, body: &str| {
        let headers = headers.lines().map(|h| format!("x-echo-header: {h}\n")).collect::<String>();
        let typed = if body.is_empty() { "" } else { "content-type: text/plain\n" };
        format!(
            "HTTP/1.1 200 OK\nx-echo-method: {method}\nx-echo-target: {target}\n{headers}{typed}x-call-id: {call_id}\n\
             x-start-time: NANOSECONDS\nx-served-by: minke/0.1.0\nx-duration-seconds: SECONDS\nconnection: close\ncontent-length: {}\n\n{body}",
            body.len()
        )
    };
    let added = "x-forwarded-host: gw.example\nx-forwarded-for: PEER\nx-forwarded-proto: http\n\
                 forwarded: for=\"PEER\";host=gw.example;proto=http\n";
    let told = |call_id: &str| {
        format!(
            "host: gw.example\n{added}x-call-id: {call_id}\nx-start-time: NANOSECONDS\nuser-agent: minke-gateway/0.1.0\n"
        )
    };
    for (target, seen) in [
        ("/function/env", "/"),
        ("/function/env/", "/"),
        ("/function/env?q=a%20b&q=2", "/?q=a%20b&q=2"),
        ("/function/env.openfaas-fn/a//b/../%2F%3F%23%25/?", "/a//b/../%2F%3F%23%25/?"),
        ("http://gw.example/function/env/abs", "/abs"),
    ] {
        check(&served, &format!("GET {target}"), &answer(seen, "GET", &told("UUID"), "UUID", "")).await;
    }
    check(&served, "BREW /function/env", &answer("/", "BREW", &told("UUID"), "UUID", "")).await;
    check(&served, "TRACE /function/env", &answer("/", "TRACE", &told("UUID"), "UUID", "")).await;
    // Its own id is kept and echoed, what others told of who asked is added to, and what is of one hop ends here.
    let headers = "X-Call-Id: mine\nX-Forwarded-For: 1.2.3.4\nX-Forwarded-Host: a.example\nX-Forwarded-Proto: https\n\
                   Forwarded: for=1.2.3.4\nUser-Agent: curl\nAuthorization: Basic xyz\nKeep-Alive: 5\nTE: trailers\nProxy-Authorization: p\n\
                   Connection: x-secret-hop, Keep-Alive\nX-Secret-Hop: 1\nUpgrade: h2c\nX-Two: a\nX-Two: b";
    let seen = "host: gw.example\nx-call-id: mine\nx-forwarded-for: 1.2.3.4, PEER\nx-forwarded-host: a.example, gw.example\n\
                x-forwarded-proto: https, http\nforwarded: for=1.2.3.4, for=\"PEER\";host=gw.example;proto=http\nte: trailers\nconnection: te\nuser-agent: curl\nauthorization: Basic xyz\nx-two: a\nx-two: b\n\
                content-length: 5\nx-start-time: NANOSECONDS\n";
    check(
        &served,
        &format!("PUT /function/env/x\n{headers}\n\nhello"),
        &answer("/x", "PUT", seen, "mine", "hello"),
    )
    .await;
    served.stop().await;
}

#[tokio::test]
async fn calls_that_reach_no_function() {
    let config = Config { scale_from_zero: false, ..Config::default() };
    let memory = echoing(&["idle"]).await;
    memory.scale(&crate::support::id("idle"), 0).await.expect("scale");
    let served = Served::start(memory, config).await;
    let told = |status: &str, internal: &str, text: &str| {
        format!(
            "HTTP/1.1 {status}\n{PLAIN}{internal}x-call-id: UUID\nx-start-time: NANOSECONDS\nx-served-by: minke/0.1.0\n\
             connection: close\ncontent-length: {}\n\n{text}\n",
            text.len() + 1
        )
    };
    let unknown = |name: &str| told("404 Not Found", "", &format!("function {name} is not found"));
    check(&served, "GET /function/nobody", &unknown("nobody.openfaas-fn")).await;
    check(&served, "GET /function/nobody.dev/x?y", &unknown("nobody.dev")).await;
    check(&served, "GET /function/.openfaas-fn", &unknown(".openfaas-fn")).await;
    check(&served, "GET /function/a.b.c", &unknown("a.b.c")).await;
    check(&served, "GET /function/Upper", &unknown("Upper.openfaas-fn")).await;
    check(&served, "GET /function/..", &unknown("..")).await;
    let idle = "No endpoints available for: idle.openfaas-fn.";
    check(
        &served,
        "GET /function/idle",
        &told("503 Service Unavailable", "x-openfaas-internal: proxy\n", idle),
    )
    .await;
    served.stop().await;
}

/// A provider whose other side is gone.
struct Gone(Arc<RouteTable>);

fn gone<T>() -> Result<T, ProviderError> {
    Err(ProviderError::Unavailable { what: "the other side".into(), source: Some("refused".into()) })
}

#[async_trait]
impl Provider for Gone {
    async fn info(&self) -> Result<ProviderInfo, ProviderError> {
        gone()
    }
    async fn health(&self) -> Result<(), ProviderError> {
        gone()
    }
    fn routes(&self) -> Arc<RouteTable> {
        Arc::clone(&self.0)
    }
    async fn resolve(&self, _: &FunctionId) -> Result<Option<Arc<provider::Route>>, ProviderError> {
        gone()
    }
    async fn deploy(&self, _: FunctionSpec) -> Result<(), ProviderError> {
        gone()
    }
    async fn update(&self, _: FunctionSpec) -> Result<(), ProviderError> {
        gone()
    }
    async fn delete(&self, _: &FunctionId) -> Result<(), ProviderError> {
        gone()
    }
    async fn list(&self, _: &Namespace) -> Result<Vec<FunctionStatus>, ProviderError> {
        gone()
    }
    async fn get(&self, _: &FunctionId) -> Result<FunctionStatus, ProviderError> {
        gone()
    }
    async fn scale(&self, _: &FunctionId, _: u32) -> Result<(), ProviderError> {
        gone()
    }
    async fn namespaces(&self) -> Result<Vec<Namespace>, ProviderError> {
        gone()
    }
}

#[tokio::test]
async fn a_provider_that_is_gone() {
    let served = Served::start(Arc::new(Gone(Arc::default())), Config::default()).await;
    let unreachable = text("502 Bad Gateway", "the other side is unavailable: refused");
    for line in [
        "GET /system/functions",
        "GET /system/function/env",
        "GET /system/namespaces",
        "POST /system/functions\n\n{\"service\":\"a\",\"image\":\"b\"}",
        "PUT /system/functions\n\n{\"service\":\"a\",\"image\":\"b\"}",
        "DELETE /system/functions\n\n{\"functionName\":\"a\"}",
        "POST /system/scale-function/a\n\n{\"replicas\":1}",
    ] {
        check(&served, line, &unreachable).await;
    }
    check(&served, "GET /healthz", &text("502 Bad Gateway", "the provider is unavailable")).await;
    let call = served.golden(&request("GET /function/env")).await;
    assert!(call.starts_with("HTTP/1.1 502 ") && call.contains("\nx-openfaas-internal: proxy\n"), "{call}");
    // The gateway still answers for itself, and without a null.
    let info = served.raw(request("GET /system/info")).await;
    assert!(info.starts_with("HTTP/1.1 200 ") && !info.contains("null") && !info.contains("\"\""), "{info}");
    served.stop().await;
}

#[tokio::test]
async fn info_tells_who_runs_what() {
    let served = Served::start(echoing(&[]).await, Config::default()).await;
    let info = served.raw(request("GET /system/info")).await;
    let (_, info) = info.split_once("\r\n\r\n").expect("a head");
    let info: serde_json::Value = serde_json::from_str(info).expect("JSON");
    assert_eq!(info["provider"]["provider"], "minke-memory");
    assert_eq!(info["provider"]["orchestration"], "memory");
    assert!(["amd64", "arm64"].contains(&info["arch"].as_str().expect("arch")));
    for part in [&info["version"], &info["provider"]["version"]] {
        assert!(!part["sha"].as_str().expect("sha").is_empty());
        assert!(!part["release"].as_str().expect("release").is_empty());
    }
    served.stop().await;
}
