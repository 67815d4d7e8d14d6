//! `/system/alert`, `/system/telemetry`, `usage=1`: what is told about functions from outside, and to it.

use std::sync::Arc;

use async_trait::async_trait;
use gateway::Config;
use model::{FunctionId, FunctionSpec, FunctionStatus, Namespace, ProviderInfo, Usage};
use provider::{Memory, Provider, ProviderError, RouteTable};

use crate::exchanges::{check, empty, json, request, text};
use crate::support::{Served, echoing, id, spec};

async fn replicas(memory: &Memory, name: &str) -> u32 {
    memory.get(&id(name)).await.expect("status").replicas
}

fn alert(status: &str, function: &str) -> String {
    format!("{{\"status\":\"{status}\",\"labels\":{{\"alertname\":\"x\",\"function_name\":\"{function}\"}}}}")
}

async fn post(served: &Served, alerts: &[String]) {
    // As AlertManager sends it, with what is not asked for.
    let body = format!(
        "{{\"receiver\":\"scale-up\",\"status\":\"firing\",\"version\":\"4\",\"groupLabels\":{{}},\"alerts\":[{}]}}",
        alerts.join(",")
    );
    check(served, &format!("POST /system/alert\n\n{body}"), &empty("200 OK")).await;
}

#[tokio::test]
async fn alerts_scale_by_the_labels() {
    let memory = echoing(&["plain"]).await;
    let mut bounded = spec("bounded");
    bounded.labels = [
        ("com.openfaas.scale.min", "2"),
        ("com.openfaas.scale.max", "5"),
        ("com.openfaas.scale.factor", "50"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into();
    memory.deploy(bounded).await.expect("deploy");
    let served = Served::start(memory.clone(), Config::default()).await;
    let firing = [alert("firing", "plain.openfaas-fn"), alert("firing", "bounded")];
    for (plain, bounded) in [(5, 5), (9, 5), (13, 5)] {
        post(&served, &firing).await;
        assert_eq!((replicas(&memory, "plain").await, replicas(&memory, "bounded").await), (plain, bounded));
    }
    post(&served, &[alert("resolved", "plain"), alert("resolved", "bounded.openfaas-fn")]).await;
    assert_eq!((replicas(&memory, "plain").await, replicas(&memory, "bounded").await), (1, 2));
    // An alert without a status has that of its group.
    post(&served, &["{\"labels\":{\"function_name\":\"plain\"}}".into()]).await;
    assert_eq!(replicas(&memory, "plain").await, 5);
    // What is nobody's is nothing to fail at.
    let nobody = [alert("firing", "nobody"), alert("firing", "Not.A.Name"), "{}".into(), "null".into()];
    post(&served, &nobody).await;
    check(&served, "POST /system/alert\n\n{}", &empty("200 OK")).await;
    for body in
        ["", "[]", "{", "{\"alerts\":{}}", "{\"alerts\":[7]}", "{\"alerts\":[{\"labels\":{\"a\":1}}]}"]
    {
        let answer = served.raw(request(&format!("POST /system/alert\n\n{body}"))).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{body}: {answer}");
    }
    assert_eq!(replicas(&memory, "plain").await, 5);
    served.stop().await;
}

#[tokio::test]
async fn telemetry_tells_that_nothing_is_sent() {
    let memory = echoing(&["a", "b"]).await;
    memory.scale(&id("b"), 3).await.expect("scale");
    let served = Served::start(memory, Config::default()).await;
    let told = "{\"s\":\"0.1.0\",\"v\":\"0.1.0\",\"sent\":false,\"data\":{\"total_fns\":2,\"total_namespaces\":1,\"total_replicas\":4}}";
    check(&served, "GET /system/telemetry", &json(told)).await;
    served.stop().await;
}

/// A function that says what it uses, or fails to, and cannot be scaled.
struct Used(Result<(f64, f64), ()>, Arc<RouteTable>);

fn no<T>() -> Result<T, ProviderError> {
    Err(ProviderError::Unsupported("this"))
}

#[async_trait]
impl Provider for Used {
    async fn info(&self) -> Result<ProviderInfo, ProviderError> {
        no()
    }
    fn routes(&self) -> Arc<RouteTable> {
        Arc::clone(&self.1)
    }
    async fn deploy(&self, _: FunctionSpec) -> Result<(), ProviderError> {
        no()
    }
    async fn update(&self, _: FunctionSpec) -> Result<(), ProviderError> {
        no()
    }
    async fn delete(&self, _: &FunctionId) -> Result<(), ProviderError> {
        no()
    }
    async fn list(&self, _: &Namespace) -> Result<Vec<FunctionStatus>, ProviderError> {
        no()
    }
    async fn get(&self, id: &FunctionId) -> Result<FunctionStatus, ProviderError> {
        let spec = FunctionSpec::new(id.clone(), "e:1".parse().expect("reference"));
        let created_at = "2026-01-02T03:04:05Z".parse().expect("time");
        Ok(FunctionStatus { spec, replicas: 1, available: 1, created_at, invocations: 0, usage: None })
    }
    async fn scale(&self, _: &FunctionId, _: u32) -> Result<(), ProviderError> {
        Err(ProviderError::Unavailable { what: "the other side".into(), source: None })
    }
    async fn usage(&self, _: &FunctionId) -> Result<Usage, ProviderError> {
        let (cpu_milli, memory_bytes) =
            self.0.map_err(|()| ProviderError::backend("read the cgroup", "it is gone"))?;
        Ok(Usage { cpu_milli, memory_bytes })
    }
    async fn namespaces(&self) -> Result<Vec<Namespace>, ProviderError> {
        no()
    }
}

#[tokio::test]
async fn usage_is_in_a_status_that_asks_for_it_and_never_an_error() {
    let status = |usage: &str| {
        json(&format!(
            "{{\"name\":\"env\",\"image\":\"e:1\",\"namespace\":\"openfaas-fn\",\"labels\":{{}},\"annotations\":{{}},\
             \"replicas\":1,\"availableReplicas\":1,\"createdAt\":\"2026-01-02T03:04:05Z\"{usage}}}"
        ))
    };
    let used = Served::start(Arc::new(Used(Ok((12.5, 1048576.0)), Arc::default())), Config::default()).await;
    for query in ["?usage=1", "?usage=true", "?usage=T"] {
        let told = status(",\"usage\":{\"cpu\":12.5,\"totalMemoryBytes\":1048576}");
        check(&used, &format!("GET /system/function/env{query}"), &told).await;
    }
    for query in ["", "?usage=0", "?usage=", "?usage=yes"] {
        check(&used, &format!("GET /system/function/env{query}"), &status("")).await;
    }
    let failed = "failed to scale as the alerts ask: env.openfaas-fn: the other side is unavailable; \
                  other.openfaas-fn: the other side is unavailable";
    let both = format!("{{\"alerts\":[{},{}]}}", alert("firing", "env"), alert("firing", "other"));
    let answer = text("500 Internal Server Error", failed);
    check(&used, &format!("POST /system/alert\n\n{both}"), &answer).await;
    used.stop().await;
    let fails = Served::start(Arc::new(Used(Err(()), Arc::default())), Config::default()).await;
    check(&fails, "GET /system/function/env?usage=1", &status("")).await;
    fails.stop().await;
}

/// Clients are written in Go, whose decoder is not picky.
#[tokio::test]
async fn bodies_are_read_as_go_reads_them() {
    let memory = echoing(&[]).await;
    let served = Served::start(memory.clone(), Config::default()).await;
    let deploy = "{\"Service\":\"x\",\"SERVICE\":\"env\",\"IMAGE\":\"e:1\",\"image\":null,\"EnvVars\":{\"A\":null},\
                  \"labels\":{\"a\":\"1\",\"a\":\"2\"},\"Annotations\":null,\"network\":7}";
    check(&served, &format!("POST /system/functions\n\n{deploy}"), &empty("202 Accepted")).await;
    let status = memory.get(&id("env")).await.expect("status");
    assert_eq!(status.spec.env["A"], "");
    assert_eq!(status.spec.labels["a"], "2");
    let scale = "{\"replicas\":9,\"Replicas\":2,\"servicename\":\"env\"}";
    check(&served, &format!("POST /system/scale-function/env\n\n{scale}"), &empty("202 Accepted")).await;
    assert_eq!(replicas(&memory, "env").await, 2);
    check(&served, "DELETE /system/functions\n\n{\"functionname\":\"env\"}", &empty("202 Accepted")).await;
    served.stop().await;
}
