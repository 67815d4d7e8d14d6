//! A real Prometheus reads the page, and the queries that dashboards, alerts and clients of the field ask get answers
//! that are true.

use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use model::{FunctionSpec, ImageRef};
use provider::{Body, Provider, Remote};
use serde_json::Value;

use crate::platform::{PATIENCE, Platform, call, curl, data_dir, id, ok, root};

/// Between two calls: well above the five a second that the alert is for.
const PAUSE: Duration = Duration::from_millis(20);
const NAME: &str = "hello.openfaas-fn";

#[tokio::test(flavor = "multi_thread")]
async fn the_queries_of_the_field_are_answered() {
    let dir = data_dir();
    let platform = Platform::start_with(&dir.path().join("data"), &["--provider", "memory"]);
    let prometheus = Prometheus::start(dir.path(), &platform);
    let client = Arc::new(platform.client());
    for (name, replicas) in [("hello", 1), ("other", 3)] {
        client.deploy(FunctionSpec::new(id(name), ImageRef::parse("minke/hello:1").unwrap())).await.unwrap();
        client.scale(&id(name), replicas).await.unwrap();
    }
    let load = Load::start(Arc::clone(&client));

    // CE's alert, as a rule that fires.
    let firing = prometheus.until("/api/v1/alerts", |answer| {
        let alerts = answer["data"]["alerts"].as_array()?;
        alerts.iter().find(|alert| alert["state"] == "firing").cloned()
    });
    for (label, value) in [
        ("alertname", "APIHighInvocationRate"),
        ("function_name", NAME),
        ("service", "gateway"),
        ("severity", "major"),
    ] {
        assert_eq!(firing["labels"][label], value, "{firing}");
    }
    // The dashboard's rate by function and code; two thirds of the calls are answered 200, one third 404.
    let rate = |code: &str| {
        let query = format!("rate(gateway_function_invocation_total{{code=\"{code}\"}}[20s])");
        prometheus.number(&query, &[("function_name", NAME), ("code", code)])
    };
    let (good, bad) = (rate("200"), rate("404"));
    assert!(good > 5.0 && good < 1.0 / PAUSE.as_secs_f64() + 1.0, "{good} a second");
    assert!((1.5..3.0).contains(&(good / bad)), "{good} and {bad} a second");
    let mean = prometheus.number(
        "rate(gateway_functions_seconds_sum[20s]) / rate(gateway_functions_seconds_count[20s])",
        &[("function_name", NAME), ("code", "200")],
    );
    assert!(mean > 0.0 && mean < 1.0, "{mean} s");
    let load_of = [("function_name", NAME), ("scaling_type", "rps")];
    assert!(prometheus.number("job:function_current_load:sum", &load_of) > 5.0);
    assert_eq!(prometheus.number("gateway_service_count", &[("function_name", "other.openfaas-fn")]), 3.0);

    // When all is quiet the sums are exact: the query of the list's invocation counts, and the dashboard's successes.
    let (all, good) = load.stop().await;
    let counted =
        r#"sum(gateway_function_invocation_total{function_name=~".*.openfaas-fn"}) by (function_name)"#;
    prometheus.until_number(counted, NAME, all);
    prometheus.until_number(
        r#"sum(gateway_function_invocation_total{code="200"}) by (function_name)"#,
        NAME,
        good,
    );
    prometheus.until_number("gateway_function_invocation_started", NAME, all);
    prometheus.until_number("gateway_function_invocation_inflight", NAME, 0);
    let listed = client.list(&id("hello").namespace).await.unwrap();
    let hello = listed.iter().find(|status| status.spec.id == id("hello")).unwrap();
    assert_eq!(hello.invocations, all);
    assert!(platform.stop().success());
}

/// What the contract names against the tool's taste is all that the tool finds.
#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_what_promtool_takes() {
    let dir = data_dir();
    let platform = Platform::start_with(&dir.path().join("data"), &["--provider", "memory"]);
    let client = platform.client();
    client.deploy(FunctionSpec::new(id("hello"), ImageRef::parse("minke/hello:1").unwrap())).await.unwrap();
    client.scale(&id("hello"), 0).await.unwrap();
    call(&client, &id("hello"), "/", Body::Empty).await;
    let page = curl(&[&platform.metrics_url()]);
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool; `make test` installs it");
    promtool.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let told =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let mut told: Vec<_> = told.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    told.sort_unstable();
    let not_a_histogram = "non-histogram and non-summary metrics should not have \"_count\" suffix";
    assert_eq!(
        told,
        [
            "gateway_function_invocation_started counter metrics should have \"_total\" suffix".to_owned(),
            format!("gateway_service_count {not_a_histogram}"),
            format!("gateway_service_ready_count {not_a_histogram}"),
        ]
    );
    let config = root().join("deploy/prometheus/prometheus.yml");
    ok(Command::new("promtool").args(["check", "config"]).arg(config).output().unwrap());
}

/// Calls one after another until it is stopped, every third of them answered 404.
struct Load {
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<(u64, u64)>,
}

impl Load {
    fn start(client: Arc<Remote>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(PAUSE);
            let (all, good) = (AtomicU64::new(0), AtomicU64::new(0));
            while !stopped.load(Ordering::Relaxed) {
                ticks.tick().await;
                let nth = all.fetch_add(1, Ordering::Relaxed);
                let target = if nth % 3 == 2 { "/?status=404" } else { "/" };
                let status = call(&client, &id("hello"), target, Body::from("x")).await.status();
                assert!(matches!(status.as_u16(), 200 | 404), "{status}");
                good.fetch_add(u64::from(status == 200), Ordering::Relaxed);
            }
            (all.into_inner(), good.into_inner())
        });
        Self { stop, task }
    }

    /// How many calls there were, and how many were answered 200.
    async fn stop(self) -> (u64, u64) {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap()
    }
}

struct Prometheus {
    url: String,
    child: Child,
}

impl Prometheus {
    /// With the shipped rules and settings, looking each second at this platform.
    fn start(dir: &Path, platform: &Platform) -> Self {
        let shipped = root().join("deploy/prometheus");
        let metrics = platform.metrics_url();
        let target = metrics.trim_start_matches("http://").trim_end_matches("/metrics");
        let config = std::fs::read_to_string(shipped.join("prometheus.yml")).unwrap();
        let config = config
            .replace("127.0.0.1:8082", target)
            .replace("interval: 5s", "interval: 1s")
            .replace("rules.yml", shipped.join("rules.yml").to_str().unwrap());
        let file = dir.join("prometheus.yml");
        std::fs::write(&file, config).unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let log = std::fs::File::create(dir.join("prometheus.log")).unwrap();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", dir.join("tsdb").display()))
            .arg(format!("--web.listen-address={free}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("prometheus; `make test` installs it");
        let prometheus = Self { url: format!("http://{free}"), child };
        prometheus.until("/api/v1/targets", |answer| {
            (answer["data"]["activeTargets"][0]["health"] == "up").then_some(())
        });
        prometheus
    }

    fn get(&self, path: &str) -> Option<Value> {
        let url = format!("{}{path}", self.url);
        let output = Command::new("curl").args(["-sS", "--max-time", "5", &url]).output().unwrap();
        serde_json::from_slice(&output.stdout).ok()
    }

    fn until<T>(&self, path: &str, found: impl Fn(&Value) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        let mut last = None;
        while Instant::now() < deadline {
            last = self.get(path);
            if let Some(found) = last.as_ref().and_then(&found) {
                return found;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("{path} did not come to what it should: {last:?}")
    }

    /// The value that a query has for the one series with these labels, as soon as there is one.
    fn number(&self, query: &str, labels: &[(&str, &str)]) -> f64 {
        self.until(&asking(query), |answer| value(answer, labels))
    }

    fn until_number(&self, query: &str, function: &str, want: u64) {
        self.until(&asking(query), |answer| {
            (value(answer, &[("function_name", function)])? == want as f64).then_some(())
        });
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn asking(query: &str) -> String {
    let escaped: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
    format!("/api/v1/query?query={escaped}")
}

/// Samples are `[time, "value"]`.
fn value(answer: &Value, labels: &[(&str, &str)]) -> Option<f64> {
    let results = answer["data"]["result"].as_array()?;
    let fits = |metric: &Value| labels.iter().all(|(name, value)| metric[*name] == *value);
    let found: Vec<_> = results.iter().filter(|result| fits(&result["metric"])).collect();
    assert!(found.len() < 2, "{answer}");
    found.first()?["value"][1].as_str()?.parse().ok()
}
