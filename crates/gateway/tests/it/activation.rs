//! Calls of functions that have no replica yet, and of replicas that are not there any more.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use gateway::Config;
use model::{FunctionId, FunctionSpec, FunctionStatus, Namespace, ProviderInfo};
use provider::{
    Body, Echo, Endpoint, Invoke, InvokeError, Memory, Provider, ProviderError, Route, RouteTable,
};
use tokio::sync::{Semaphore, mpsc};

use crate::support::{Scripted, Served, echoing, id, in_time};

const CALL: &str = "GET /function/env HTTP/1.1\r\nhost: g\r\nconnection: close\r\n\r\n";

/// `Memory` that scales when it is let, or fails to.
struct Slow {
    memory: Arc<Memory>,
    scales: AtomicUsize,
    resolves: AtomicUsize,
    /// Told at each wish to scale.
    asked: mpsc::UnboundedSender<u32>,
    gate: Semaphore,
    fails: bool,
}

impl Slow {
    async fn start(fails: bool) -> (Arc<Self>, mpsc::UnboundedReceiver<u32>) {
        let memory = echoing(&["env"]).await;
        memory.scale(&id("env"), 0).await.expect("scale");
        let (asked, asks) = mpsc::unbounded_channel();
        let counts = (AtomicUsize::new(0), AtomicUsize::new(0));
        let gate = Semaphore::new(0);
        (Arc::new(Self { memory, scales: counts.0, resolves: counts.1, asked, gate, fails }), asks)
    }
}

#[async_trait]
impl Provider for Slow {
    async fn info(&self) -> Result<ProviderInfo, ProviderError> {
        self.memory.info().await
    }
    fn routes(&self) -> Arc<RouteTable> {
        self.memory.routes()
    }
    async fn resolve(&self, id: &FunctionId) -> Result<Option<Arc<Route>>, ProviderError> {
        self.resolves.fetch_add(1, Ordering::Relaxed);
        self.memory.resolve(id).await
    }
    async fn deploy(&self, spec: FunctionSpec) -> Result<(), ProviderError> {
        self.memory.deploy(spec).await
    }
    async fn update(&self, spec: FunctionSpec) -> Result<(), ProviderError> {
        self.memory.update(spec).await
    }
    async fn delete(&self, id: &FunctionId) -> Result<(), ProviderError> {
        self.memory.delete(id).await
    }
    async fn list(&self, namespace: &Namespace) -> Result<Vec<FunctionStatus>, ProviderError> {
        self.memory.list(namespace).await
    }
    async fn get(&self, id: &FunctionId) -> Result<FunctionStatus, ProviderError> {
        self.memory.get(id).await
    }
    async fn scale(&self, id: &FunctionId, replicas: u32) -> Result<(), ProviderError> {
        self.scales.fetch_add(1, Ordering::Relaxed);
        let _ = self.asked.send(replicas);
        self.gate.acquire().await.expect("never closed").forget();
        if self.fails {
            return Err(ProviderError::backend("start a replica", "no room"));
        }
        self.memory.scale(id, replicas).await
    }
    async fn namespaces(&self) -> Result<Vec<Namespace>, ProviderError> {
        self.memory.namespaces().await
    }
}

fn calls(served: &Served, count: usize) -> tokio::task::JoinSet<String> {
    let address = served.api;
    (0..count).map(|_| async move { crate::support::exchange(address, CALL.as_bytes()).await }).collect()
}

#[tokio::test]
async fn many_calls_wake_a_function_once() {
    let (slow, mut asks) = Slow::start(false).await;
    let served = Served::start(slow.clone(), Config::default()).await;
    let mut calls = calls(&served, 50);
    assert_eq!(in_time(asks.recv()).await, Some(1));
    until_begun(&served, 50).await;
    slow.gate.add_permits(50);
    while let Some(answer) = in_time(calls.join_next()).await {
        let answer = answer.expect("a call");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    assert_eq!(slow.scales.load(Ordering::Relaxed), 1);
    served.stop().await;
}

/// Until so many calls have passed the look-up.
async fn until_begun(served: &Served, count: usize) {
    let line = format!("gateway_function_invocation_started{{function_name=\"env.openfaas-fn\"}} {count}\n");
    let reached = async {
        while !served.page().await.contains(&line) {
            tokio::task::yield_now().await;
        }
    };
    in_time(reached).await;
}

#[tokio::test]
async fn a_function_that_does_not_come_up_is_503_in_time() {
    let (slow, _asks) = Slow::start(false).await;
    let config = Config { activation_timeout: Duration::from_millis(100), ..Config::default() };
    let served = Served::start(slow.clone(), config).await;
    let answer = served.raw(CALL).await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.ends_with("No endpoints available for: env.openfaas-fn.\n"), "{answer}");
    slow.gate.add_permits(1);
    served.stop().await;
}

#[tokio::test]
async fn a_function_that_cannot_be_scaled_is_500_for_all_who_wait() {
    let (slow, mut asks) = Slow::start(true).await;
    let served = Served::start(slow.clone(), Config::default()).await;
    let mut calls = calls(&served, 5);
    in_time(asks.recv()).await;
    until_begun(&served, 5).await;
    slow.gate.add_permits(50);
    while let Some(answer) = in_time(calls.join_next()).await {
        let answer = answer.expect("a call");
        assert!(answer.starts_with("HTTP/1.1 500 ") && !answer.contains("no room"), "{answer}");
        assert!(answer.contains("\r\nx-openfaas-internal: proxy\r\n"), "{answer}");
    }
    served.stop().await;
}

#[tokio::test]
async fn a_function_removed_while_calls_wait_is_404() {
    let (slow, mut asks) = Slow::start(false).await;
    let served = Served::start(slow.clone(), Config::default()).await;
    let mut calls = calls(&served, 3);
    in_time(asks.recv()).await;
    until_begun(&served, 3).await;
    slow.memory.delete(&id("env")).await.expect("delete");
    while let Some(answer) = in_time(calls.join_next()).await {
        let answer = answer.expect("a call");
        assert!(answer.starts_with("HTTP/1.1 404 ") && answer.contains("env.openfaas-fn"), "{answer}");
    }
    slow.gate.add_permits(1);
    served.stop().await;
}

#[tokio::test]
async fn a_flood_of_calls_of_nobody_asks_the_provider_rarely() {
    let (slow, _asks) = Slow::start(false).await;
    let served = Served::start(slow.clone(), Config::default()).await;
    let call = "GET /function/nobody HTTP/1.1\r\nhost: g\r\nconnection: close\r\n\r\n";
    for _ in 0..50 {
        assert!(served.raw(call).await.starts_with("HTTP/1.1 404 "));
    }
    let asked = slow.resolves.load(Ordering::Relaxed);
    assert!(asked < 10, "asked {asked} times");
    // Once deployed it is called at once, for all that was remembered.
    let body = "{\"service\":\"nobody\",\"image\":\"x\"}";
    let deploy = "POST /system/functions HTTP/1.1\r\nhost: g\r\nconnection: close\r\n";
    let answer = served.raw(format!("{deploy}content-length: {}\r\n\r\n{body}", body.len())).await;
    assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
    assert!(served.raw(call).await.starts_with("HTTP/1.1 200 "));
    served.stop().await;
}

/// A route with the given replicas, published behind the provider's back.
fn publish(memory: &Memory, endpoints: Vec<Arc<Endpoint>>) {
    let desired = u32::try_from(endpoints.len()).expect("few");
    let spec = model::FunctionSpec::new(id("env"), "env".parse().expect("an image"));
    memory.routes().publish(Route::new(&spec, desired, endpoints));
}

fn refusing(count: &Arc<AtomicUsize>) -> Arc<dyn Invoke> {
    let count = Arc::clone(count);
    Arc::new(Scripted(move |call: provider::Call| {
        count.fetch_add(1, Ordering::Relaxed);
        let function = call.function.clone();
        let source = io::Error::from(io::ErrorKind::ConnectionRefused);
        Box::pin(async move { Err(InvokeError::Connect { function, call: Some(Box::new(call)), source }) })
            as _
    }))
}

#[tokio::test]
async fn a_replica_that_refuses_is_passed_over_with_the_body_whole() {
    let memory = echoing(&["env"]).await;
    let refused: Arc<AtomicUsize> = Arc::default();
    let dead = |n: usize| Arc::new(Endpoint::new(format!("dead-{n}"), refusing(&refused)));
    publish(&memory, vec![dead(1), dead(2), Arc::new(Endpoint::new("alive", Arc::new(Echo)))]);
    let served = Served::start(memory, Config::default()).await;
    let call =
        "POST /function/env HTTP/1.1\r\nhost: g\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello";
    for _ in 0..20 {
        let answer = served.raw(call).await;
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\nhello"), "{answer}");
    }
    assert!(refused.load(Ordering::Relaxed) > 0);
    served.stop().await;
}

#[tokio::test]
async fn tries_are_bounded_and_the_last_failure_is_told() {
    let memory = echoing(&["env"]).await;
    let refused: Arc<AtomicUsize> = Arc::default();
    let dead = |n: usize| Arc::new(Endpoint::new(format!("dead-{n}"), refusing(&refused)));
    publish(&memory, (0..20).map(dead).collect());
    let served = Served::start(memory.clone(), Config::default()).await;
    let answer = served.raw(CALL).await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    assert!(answer.ends_with("Can't reach service for: env.openfaas-fn.\n"), "{answer}");
    assert_eq!(refused.swap(0, Ordering::Relaxed), 4);
    // With one replica there is nothing else to try.
    publish(&memory, vec![dead(1)]);
    assert!(served.raw(CALL).await.starts_with("HTTP/1.1 502 "));
    assert_eq!(refused.load(Ordering::Relaxed), 1);
    served.stop().await;
}

#[tokio::test]
async fn a_replica_that_vanishes_while_scaling_is_replaced_by_the_next_one() {
    let memory = echoing(&["env"]).await;
    let routes = memory.routes();
    let once: Mutex<Option<()>> = Mutex::new(Some(()));
    // It refuses because it has just been stopped: by then the route names another.
    let vanishing = Scripted(move |call: provider::Call| {
        assert!(once.lock().expect("lock").take().is_some(), "it is asked once");
        let alive = Arc::new(Endpoint::new("alive", Arc::new(Echo)));
        let route = routes.get(&id("env")).expect("a route");
        routes.publish(Route { endpoints: Arc::from([alive]), ..Route::clone(&route) });
        let function = call.function.clone();
        let source = io::Error::from(io::ErrorKind::ConnectionRefused);
        Box::pin(async move { Err(InvokeError::Connect { function, call: Some(Box::new(call)), source }) })
            as _
    });
    publish(&memory, vec![Arc::new(Endpoint::new("vanishing", Arc::new(vanishing)))]);
    let served = Served::start(memory, Config::default()).await;
    let answer = served.raw(CALL).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    served.stop().await;
}

#[tokio::test]
async fn a_call_that_was_sent_is_not_sent_again() {
    let memory = echoing(&["env"]).await;
    let sent: Arc<AtomicUsize> = Arc::default();
    let breaking = |_| {
        let sent = Arc::clone(&sent);
        let script = Scripted(move |_: provider::Call| {
            sent.fetch_add(1, Ordering::Relaxed);
            Box::pin(async { Err(InvokeError::Upstream("it broke off".into())) }) as _
        });
        Arc::new(Endpoint::new("breaking", Arc::new(script)))
    };
    publish(&memory, (0..3).map(breaking).collect());
    let served = Served::start(memory, Config::default()).await;
    let answer = served.raw(CALL).await;
    assert!(
        answer.starts_with("HTTP/1.1 502 ") && answer.contains("\r\nx-openfaas-internal: proxy\r\n"),
        "{answer}"
    );
    assert_eq!(sent.load(Ordering::Relaxed), 1);
    served.stop().await;
}

#[tokio::test]
async fn the_pipeline_answers_inside_the_process_too() {
    let served = Served::start(echoing(&["env"]).await, Config::default()).await;
    let request = http::Request::builder().uri("/inside").body(Body::Empty).expect("request");
    let call = provider::Call { function: id("env"), call_id: provider::CallId::random(), request };
    let answer = served.gateway.invoke().invoke(call).await.expect("an answer");
    assert_eq!(answer.headers()["x-echo-target"], "/inside");
    drop(answer);
    let page = served.page().await;
    assert!(
        page.contains("gateway_function_invocation_total{function_name=\"env.openfaas-fn\",code=\"200\"} 1"),
        "{page}"
    );
    served.stop().await;
}
