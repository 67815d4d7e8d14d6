//! The metrics page: exact names, values, and series that come and go with their functions.

use std::sync::Arc;
use std::time::Instant;

use gateway::{Collect, Collected, Collectors, Config};
use provider::{Memory, Provider};
use tokio::sync::Semaphore;

use crate::support::{PATIENCE, Served, comparable, echoing, exchange, id, running, spec};

async fn call(served: &Served, target: &str) {
    request(served, "GET", target).await;
}

async fn request(served: &Served, method: &str, target: &str) -> String {
    served.raw(format!("{method} {target} HTTP/1.1\r\nhost: g\r\nconnection: close\r\n\r\n")).await
}

/// The page, whose framing is chunked when it is large.
async fn page(served: &Served) -> String {
    let answer = served.page().await;
    answer.split_once("\r\n\r\n").expect("a head").1.to_owned()
}

/// The page's lines, without those whose values are times, and without what this process and this build are.
async fn lines(served: &Served) -> Vec<String> {
    let timed =
        |line: &&str| line.contains("_bucket{") && !line.contains("+Inf") || line.contains("_seconds_sum");
    let page = page(served).await;
    let ours = page.lines().take_while(|line| !line.starts_with("# HELP minke_build_info"));
    ours.filter(|line| !timed(line)).map(str::to_owned).collect()
}

/// A call is counted when its answer has gone out, which its caller may see a moment before.
async fn until(served: &Served, sample: &str) -> Vec<String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let lines = lines(served).await;
        if lines.iter().any(|line| line == sample) {
            return lines;
        }
        assert!(Instant::now() < deadline, "no {sample} in {lines:#?}");
    }
}

#[tokio::test]
async fn a_page_of_two_functions() {
    let memory = echoing(&["a"]).await;
    let mut b = spec("b");
    for (name, value) in [("min", "2"), ("type", "cpu"), ("target", "500")] {
        b.labels.insert(format!("com.openfaas.scale.{name}"), value.to_owned());
    }
    memory.deploy(b).await.expect("deploy");
    memory.scale(&id("b"), 3).await.expect("scale");
    let served = Served::start(memory.clone(), Config::default()).await;
    for target in ["/function/a", "/function/a.openfaas-fn", "/function/a?status=404", "/function/nobody"] {
        call(&served, target).await;
    }
    let want = r#"# HELP gateway_function_invocation_started Calls begun.
# TYPE gateway_function_invocation_started counter
gateway_function_invocation_started{function_name="a.openfaas-fn"} 3
# HELP gateway_function_invocation_total Calls completed, by status code.
# TYPE gateway_function_invocation_total counter
gateway_function_invocation_total{function_name="a.openfaas-fn",code="200"} 2
gateway_function_invocation_total{function_name="a.openfaas-fn",code="404"} 1
# HELP gateway_functions_seconds Time from a call's beginning to the end of its answer.
# TYPE gateway_functions_seconds histogram
gateway_functions_seconds_bucket{function_name="a.openfaas-fn",code="200",le="+Inf"} 2
gateway_functions_seconds_count{function_name="a.openfaas-fn",code="200"} 2
gateway_functions_seconds_bucket{function_name="a.openfaas-fn",code="404",le="+Inf"} 1
gateway_functions_seconds_count{function_name="a.openfaas-fn",code="404"} 1
# HELP gateway_function_invocation_inflight Calls under way.
# TYPE gateway_function_invocation_inflight gauge
gateway_function_invocation_inflight{function_name="a.openfaas-fn"} 0
# HELP gateway_cold_start_seconds How long calls that found no replica waited for one.
# TYPE gateway_cold_start_seconds histogram
# HELP gateway_service_count Replicas wished for.
# TYPE gateway_service_count gauge
gateway_service_count{function_name="a.openfaas-fn"} 1
gateway_service_count{function_name="b.openfaas-fn"} 3
# HELP gateway_service_ready_count Replicas that take calls.
# TYPE gateway_service_ready_count gauge
gateway_service_ready_count{function_name="a.openfaas-fn"} 1
gateway_service_ready_count{function_name="b.openfaas-fn"} 3
# HELP gateway_service_min Fewest replicas that scaling leaves, zero aside.
# TYPE gateway_service_min gauge
gateway_service_min{function_name="a.openfaas-fn"} 1
gateway_service_min{function_name="b.openfaas-fn"} 2
# HELP gateway_service_target_load Load that one replica is meant to carry, by kind.
# TYPE gateway_service_target_load gauge
gateway_service_target_load{function_name="a.openfaas-fn",scaling_type="rps"} 50
gateway_service_target_load{function_name="b.openfaas-fn",scaling_type="cpu"} 500
# HELP http_requests_total Requests to the management API and the queue.
# TYPE http_requests_total counter
# HELP http_request_duration_seconds Time from such a request's head to the head of its answer.
# TYPE http_request_duration_seconds histogram
# HELP gateway_connections Connections of clients that are open.
# TYPE gateway_connections gauge
gateway_connections 0"#;
    until(&served, "gateway_function_invocation_inflight{function_name=\"a.openfaas-fn\"} 0").await;
    assert_eq!(until(&served, "gateway_connections 0").await.join("\n"), want);
    let bounds: Vec<_> = page(&served)
        .await
        .lines()
        .filter(|line| line.starts_with("gateway_functions_seconds_bucket{") && line.contains("\"404\""))
        .filter_map(|line| line.split("le=\"").nth(1)?.split('"').next().map(str::to_owned))
        .collect();
    let want = ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"];
    assert_eq!(bounds, want);

    // The list tells how often each was called.
    let list = request(&served, "GET", "/system/functions").await;
    assert!(list.contains("\"invocationCount\":3,"), "{list}");
    assert_eq!(list.matches("invocationCount").count(), 1, "zero is left out: {list}");

    memory.delete(&id("a")).await.expect("delete");
    let left = lines(&served).await;
    assert!(!left.iter().any(|line| line.contains("\"a.openfaas-fn\"")), "{left:#?}");
    memory.deploy(spec("a")).await.expect("deploy");
    call(&served, "/function/a").await;
    let again = "gateway_function_invocation_started{function_name=\"a.openfaas-fn\"} 1".to_owned();
    assert!(lines(&served).await.contains(&again));
    served.stop().await;
}

#[tokio::test]
async fn calls_under_way_and_cold_starts() {
    let gate = Arc::new(Semaphore::new(0));
    let waiting = Arc::clone(&gate);
    let memory = running(&["a"], move |_| {
        let gate = Arc::clone(&waiting);
        Box::pin(async move {
            gate.acquire().await.expect("open").forget();
            Ok(http::Response::new(provider::Body::from("done")))
        })
    })
    .await;
    memory.scale(&id("a"), 0).await.expect("scale");
    let served = Arc::new(Served::start(memory, Config::default()).await);
    let calls: Vec<_> = (0..3)
        .map(|_| {
            let served = Arc::clone(&served);
            tokio::spawn(async move { call(&served, "/function/a").await })
        })
        .collect();
    let of_a = |name: &str, value: u32| format!("{name}{{function_name=\"a.openfaas-fn\"}} {value}");
    until(&served, &of_a("gateway_function_invocation_inflight", 3)).await;
    until(&served, &of_a("gateway_service_ready_count", 1)).await;
    until(&served, "gateway_connections 3").await;
    gate.add_permits(3);
    for call in calls {
        call.await.expect("it does not panic");
    }
    let lines = until(&served, &of_a("gateway_function_invocation_inflight", 0)).await;
    let cold = lines.iter().find_map(|line| line.strip_prefix("gateway_cold_start_seconds_count{"));
    let cold: u32 = cold.expect("a cold start").rsplit(' ').next().unwrap().parse().expect("a count");
    assert!((1..=3).contains(&cold), "{cold}");
}

#[tokio::test]
async fn management_requests_are_counted_by_template() {
    let served = Served::start(echoing(&["a"]).await, Config::default()).await;
    for (method, path) in [
        ("GET", "/system/functions?namespace=openfaas-fn"),
        ("GET", "/system/function/a"),
        ("GET", "/system/function/b"),
        ("BREW", "/system/functions"),
        ("GET", "/system/\u{7e}x\u{7e}"),
        ("GET", "/healthz"),
        ("GET", "/function/a"),
        ("GET", "/no/such"),
    ] {
        request(&served, method, path).await;
    }
    let lines = lines(&served).await;
    let of = |family: &str| -> Vec<String> {
        let samples = lines.iter().filter_map(|line| line.strip_prefix(family));
        samples.map(str::to_owned).collect()
    };
    let want = [
        "method=\"GET\",path=\"/system/functions\",status=\"200\"} 1",
        "method=\"OTHER\",path=\"/system/functions\",status=\"405\"} 1",
        "method=\"GET\",path=\"/system/function/{name}\",status=\"200\"} 1",
        "method=\"GET\",path=\"/system/function/{name}\",status=\"404\"} 1",
        "method=\"GET\",path=\"/system/{other}\",status=\"404\"} 1",
    ];
    assert_eq!(of("http_requests_total{"), want);
    assert_eq!(of("http_request_duration_seconds_count{"), want);
    served.stop().await;
}

/// A page of megabytes comes in pieces, whole and in order; it names what this build and this process are.
#[tokio::test]
async fn a_page_of_many_functions() {
    let names: Vec<String> = (0..2_000).map(|n| format!("f{n:04}")).collect();
    let memory = echoing(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    struct Two;
    impl Collect for Two {
        fn collect(&self, page: &mut Collected<'_>) {
            page.counter("more_total", "More.", 2);
        }
    }
    let collectors = Collectors(vec![Arc::new(Two)]);
    let served = Served::start(memory, Config { collectors, ..Config::default() }).await;
    let answer = served.page().await;
    assert!(answer.contains("\r\ntransfer-encoding: chunked\r\n"), "{}", &answer[..500]);
    let page = dechunked(answer.split_once("\r\n\r\n").expect("a head").1);
    for family in ["gateway_service_count", "gateway_service_ready_count", "gateway_service_min"] {
        let of: Vec<_> = page.lines().filter(|line| line.starts_with(&format!("{family}{{"))).collect();
        let want: Vec<_> =
            names.iter().map(|name| format!("{family}{{function_name=\"{name}.openfaas-fn\"}} 1")).collect();
        assert_eq!(of, want);
    }
    for line in ["more_total 2", "minke_build_info{version=\"", "process_cpu_seconds_total "] {
        assert_eq!(page.lines().filter(|found| found.starts_with(line)).count(), 1, "{line}");
    }
    for name in ["open_fds", "max_fds", "resident_memory_bytes", "virtual_memory_bytes", "start_time_seconds"]
    {
        let value = page.lines().find_map(|line| line.strip_prefix(&format!("process_{name} ")));
        assert!(value.is_some_and(|value| value.parse::<f64>().is_ok_and(|n| n > 0.0)), "{name} {value:?}");
    }
    served.stop().await;
}

/// RFC 9112, section 7.1.
fn dechunked(mut body: &str) -> String {
    let mut text = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).expect("a size");
        text += &rest[..size];
        body = rest[size..].strip_prefix("\r\n").expect("the end of a chunk");
    }
    text
}

#[tokio::test]
async fn the_server_of_the_page() {
    let memory: Arc<Memory> = echoing(&[]).await;
    let served = Served::start(memory, Config::default()).await;
    let check = async |line: &str, want: &str| {
        let request = format!("{line} HTTP/1.1\r\nhost: m\r\nconnection: close\r\n\r\n");
        let got = comparable(&exchange(served.metrics, request.as_bytes()).await);
        assert!(got.starts_with(want), "{line}: {got}");
    };
    let page = "HTTP/1.1 200 OK\ncontent-type: text/plain; version=0.0.4; charset=utf-8\n";
    check("GET /metrics", page).await;
    check("POST /metrics", page).await;
    check("GET /healthz", "HTTP/1.1 200 OK\nconnection: close\ncontent-length: 2\n\nOK").await;
    check("POST /healthz", "HTTP/1.1 405 Method Not Allowed\n").await;
    check("GET /system/functions", "HTTP/1.1 404 Not Found\n").await;
    check("GET /", "HTTP/1.1 404 Not Found\n").await;
    served.stop().await;
}
