//! The metrics page: exact names, values, and series that come and go with their functions.

use std::sync::Arc;

use gateway::Config;
use provider::{Memory, Provider};

use crate::support::{Served, comparable, echoing, exchange, id, spec};

async fn call(served: &Served, target: &str) {
    served.raw(format!("GET {target} HTTP/1.1\r\nhost: g\r\nconnection: close\r\n\r\n")).await;
}

/// The page's lines, without those whose values are times.
async fn lines(served: &Served) -> Vec<String> {
    let page = served.page().await;
    let (_, page) = page.split_once("\r\n\r\n").expect("a head");
    let timed =
        |line: &&str| line.contains("_bucket{") && !line.contains("+Inf") || line.contains("_seconds_sum");
    page.lines().filter(|line| !timed(line)).map(str::to_owned).collect()
}

#[tokio::test]
async fn a_page_of_two_functions() {
    let memory = echoing(&["a", "b"]).await;
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
# HELP gateway_service_count Replicas wished for.
# TYPE gateway_service_count gauge
gateway_service_count{function_name="a.openfaas-fn"} 1
gateway_service_count{function_name="b.openfaas-fn"} 3"#;
    assert_eq!(lines(&served).await.join("\n"), want);
    let bounds: Vec<_> = served
        .page()
        .await
        .lines()
        .filter(|line| line.starts_with("gateway_functions_seconds_bucket{") && line.contains("\"404\""))
        .filter_map(|line| line.split("le=\"").nth(1)?.split('"').next().map(str::to_owned))
        .collect();
    let want = ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"];
    assert_eq!(bounds, want);

    // The list tells how often each was called.
    let list = served.raw("GET /system/functions HTTP/1.1\r\nhost: g\r\nconnection: close\r\n\r\n").await;
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
