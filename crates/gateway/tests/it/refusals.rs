//! Bad input: the exact status, words that help, and nothing changed.

use std::sync::Arc;

use gateway::{Config, Credentials};
use model::Namespace;
use provider::{Memory, Provider};

use crate::support::{Served, echoing};

const IMAGE: &str = "\"image\":\"e\"";

/// What the provider holds, apart from replicas' momentary state.
async fn state(memory: &Memory) -> String {
    format!("{:?}", memory.list(&Namespace::default()).await.expect("list"))
}

struct Subject {
    served: Served,
    memory: Arc<Memory>,
    before: String,
}

impl Subject {
    async fn start() -> Self {
        let memory = echoing(&["env"]).await;
        let config = Config { json_max: 64 * 1024, head_max: 16 * 1024, ..Config::default() };
        let served = Served::start(memory.clone(), config).await;
        Self { before: state(&memory).await, served, memory }
    }

    async fn check(&self, line: &str, body: &str, status: u16, words: &str) {
        let length = body.len();
        let request = format!(
            "{line} HTTP/1.1\r\nhost: g\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        self.check_raw(&request, status, words).await;
    }

    async fn check_raw(&self, request: &str, status: u16, words: &str) {
        let answer = self.served.raw(request).await;
        let shown: String = request.chars().take(300).collect();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{shown}\n→ {answer}");
        assert!(answer.contains(words), "{shown}\n→ {answer}\nwithout {words:?}");
        assert_eq!(state(&self.memory).await, self.before, "{shown}");
    }
}

#[tokio::test]
async fn bad_specs() {
    let subject = Subject::start().await;
    let long = "a".repeat(64);
    let cases: &[(String, &str)] = &[
        (String::new(), "the body is not the JSON that this call takes"),
        ("null".into(), "the body is not the JSON that this call takes"),
        ("[]".into(), "JSON"),
        ("\"env\"".into(), "JSON"),
        ("[\"env\",\"e\"]".into(), "it is not an object"),
        ("{".into(), "JSON"),
        ("{}".into(), "service: is required"),
        ("{}x".into(), "trailing characters"),
        ("\u{0}".into(), "JSON"),
        ("[".repeat(10_000), "JSON"),
        (format!("{{\"service\":7,{IMAGE}}}"), "service: is a number; it must be text"),
        (format!("{{\"service\":\"\",{IMAGE}}}"), "service: is required"),
        (format!("{{\"service\":null,{IMAGE}}}"), "service: is required"),
        ("{\"service\":\"env\"}".into(), "image: is required"),
        ("{\"service\":\"env\",\"image\":\"a b\"}".into(), "image: "),
        ("{\"service\":\"env\",\"image\":\"../x\"}".into(), "image: "),
        (format!("{{\"service\":\"Env\",{IMAGE}}}"), "service: "),
        (format!("{{\"service\":\"a.b\",{IMAGE}}}"), "service: "),
        (format!("{{\"service\":\"a/b\",{IMAGE}}}"), "service: "),
        (format!("{{\"service\":\"-a\",{IMAGE}}}"), "service: "),
        (format!("{{\"service\":\"{long}\",{IMAGE}}}"), "at most 63"),
        (format!("{{\"service\":\"env\",{IMAGE},\"namespace\":\"No\"}}"), "namespace: "),
        (format!("{{\"service\":\"env\",{IMAGE},\"namespace\":\"kube-system\"}}"), "reserved"),
        (format!("{{\"service\":\"env\",{IMAGE},\"namespace\":\"elsewhere\"}}"), "does not exist"),
        (format!("{{\"service\":\"env\",{IMAGE},\"namespace\":[]}}"), "namespace: is a list"),
        (format!("{{\"service\":\"env\",{IMAGE},\"labels\":[]}}"), "labels: is a list"),
        (format!("{{\"service\":\"env\",{IMAGE},\"labels\":{{\"a\":1}}}}"), "labels: is a number"),
        (format!("{{\"service\":\"env\",{IMAGE},\"labels\":{{\"a b\":\"\"}}}}"), "labels: "),
        (format!("{{\"service\":\"env\",{IMAGE},\"envVars\":{{\"A=B\":\"\"}}}}"), "envVars: "),
        (format!("{{\"service\":\"env\",{IMAGE},\"limits\":{{\"memory\":\"lots\"}}}}"), "limits.memory: "),
        (format!("{{\"service\":\"env\",{IMAGE},\"limits\":{{\"memory\":\"-1Mi\"}}}}"), "limits.memory: "),
        (format!("{{\"service\":\"env\",{IMAGE},\"requests\":{{\"cpu\":\"x\"}}}}"), "requests.cpu: "),
        (format!("{{\"service\":\"env\",{IMAGE},\"secrets\":[\"../up\"]}}"), "secrets: "),
        (
            format!("{{\"service\":\"env\",{IMAGE},\"readOnlyRootFilesystem\":\"yes\"}}"),
            "it must be true or false",
        ),
    ];
    for (body, words) in cases {
        for method in ["POST", "PUT"] {
            subject.check(&format!("{method} /system/functions"), body, 400, words).await;
        }
    }
    subject.served.stop().await;
}

#[tokio::test]
async fn bad_names_and_counts() {
    let subject = Subject::start().await;
    let scale = "POST /system/scale-function/env";
    for (body, words) in [
        ("", "JSON"),
        ("{}", "replicas: is required"),
        ("{\"replicas\":null}", "replicas: is required"),
        ("{\"replicas\":-1}", "replicas: is a negative number"),
        ("{\"replicas\":1.0}", "replicas: is a number with a fraction"),
        ("{\"replicas\":\"1\"}", "replicas: is text"),
        ("{\"replicas\":10001}", "10000"),
        ("{\"replicas\":18446744073709551615}", "10000"),
        ("{\"replicas\":18446744073709551616}", "JSON"),
        ("{\"replicas\":2,\"serviceName\":\"other\"}", "serviceName: "),
        ("{\"replicas\":2,\"namespace\":\"Not Valid\"}", "namespace: "),
    ] {
        subject.check(scale, body, 400, words).await;
    }
    subject.check("POST /system/scale-function/Env", "{\"replicas\":2}", 400, "name: ").await;
    subject.check("POST /system/scale-function/env%2e", "{\"replicas\":2}", 404, "404 page not found").await;
    for (body, words) in [
        ("", "JSON"),
        ("{}", "functionName: "),
        ("{\"functionName\":\"\"}", "functionName: function name is empty"),
        ("{\"functionName\":\"env.openfaas-fn\"}", "functionName: "),
        ("{\"functionName\":\"env\",\"namespace\":\"elsewhere.\"}", "namespace: "),
    ] {
        subject.check("DELETE /system/functions", body, 400, words).await;
    }
    subject.served.stop().await;
}

#[tokio::test]
async fn contradictions() {
    let subject = Subject::start().await;
    let words = "say one of them";
    let env = "{\"service\":\"env\",\"image\":\"e\",\"namespace\":\"openfaas-fn\"}";
    subject.check("PUT /system/functions?namespace=dev", env, 400, words).await;
    subject.check("POST /system/functions?namespace=dev", env, 400, words).await;
    let body = "{\"functionName\":\"env\",\"namespace\":\"openfaas-fn\"}";
    subject.check("DELETE /system/functions?namespace=dev", body, 400, words).await;
    let body = "{\"replicas\":3,\"namespace\":\"openfaas-fn\"}";
    subject.check("POST /system/scale-function/env?namespace=dev", body, 400, words).await;
    for target in ["/system/functions", "/system/function/env"] {
        let line = format!("GET {target}?namespace=openfaas-fn&namespace=dev");
        subject.check(&line, "", 400, "the query names two").await;
        subject.check(&format!("GET {target}?namespace=Not%20Valid"), "", 400, "namespace: ").await;
    }
    subject.check("GET /system/functions?namespace=dev", "", 400, "does not exist").await;
    subject.check("GET /system/function/env?namespace=dev", "", 404, "").await;
    subject.served.stop().await;
}

#[tokio::test]
async fn bad_sizes_and_framing() {
    let subject = Subject::start().await;
    let deploy = "POST /system/functions HTTP/1.1\r\nhost: g\r\nconnection: close\r\n";
    let big = format!("{{\"service\":\"big\",\"image\":\"{}\"}}", "x".repeat(64 * 1024));
    subject.check("POST /system/functions", &big, 413, "larger than 65536 bytes").await;
    // Refused by what it announces, before it comes.
    subject.check_raw(&format!("{deploy}content-length: 99999999999\r\n\r\n"), 413, "larger than").await;
    let chunked = format!("{deploy}transfer-encoding: chunked\r\n\r\n{:x}\r\n{big}\r\n0\r\n\r\n", big.len());
    subject.check_raw(&chunked, 413, "larger than").await;
    subject.check_raw(&format!("{deploy}content-length: -1\r\n\r\n"), 400, "").await;
    subject.check_raw(&format!("{deploy}content-length: 2\r\ncontent-length: 3\r\n\r\n{{}}"), 400, "").await;
    let both = format!("{deploy}content-length: 2\r\ntransfer-encoding: gzip, chunked, gzip\r\n\r\n{{}}");
    subject.check_raw(&both, 400, "").await;
    let long = "a".repeat(70_000);
    let head = |path: &str, header: &str| {
        format!("GET {path} HTTP/1.1\r\nhost: g\r\nconnection: close\r\n{header}\r\n")
    };
    subject.check_raw(&head("/", &format!("x-long: {long}\r\n")), 431, "").await;
    subject.check_raw(&head("/", &"x: y\r\n".repeat(200)), 431, "").await;
    subject.check_raw(&head("/function/env/a b", ""), 400, "").await;
    subject.check_raw(&head("/", "no colon\r\n"), 400, "").await;
    subject.check_raw(&head("/", "a\u{1}b: c\r\n"), 400, "").await;
    subject.check_raw("GET / HTTP/9.9\r\n\r\n", 400, "").await;
    subject.check_raw("\u{16}\u{3}\u{1}\u{2}\u{0}\r\n\r\n", 400, "").await;
    subject
        .check_raw(
            "CONNECT other:80 HTTP/1.1\r\nhost: other:80\r\nconnection: close\r\n\r\n",
            405,
            "no forward proxy",
        )
        .await;
    subject.served.stop().await;
}

#[tokio::test]
async fn a_target_longer_than_any_is_refused() {
    let served = Served::start(echoing(&["env"]).await, Config::default()).await;
    let target = "a".repeat(70_000);
    let answer = served
        .raw(format!("GET /function/env/{target} HTTP/1.1\r\nhost: g\r\nconnection: close\r\n\r\n"))
        .await;
    assert!(answer.starts_with("HTTP/1.1 414 "), "{answer}");
    served.stop().await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let memory = echoing(&[]).await;
    let config = Config { read_timeout: std::time::Duration::from_millis(50), ..Config::default() };
    let served = Served::start(memory.clone(), config).await;
    let request = "POST /system/functions HTTP/1.1\r\nhost: g\r\ncontent-length: 10\r\n\r\n{";
    let answer = served.raw(request).await;
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("did not come in time"), "{answer}");
    // Nor is a head.
    assert_eq!(served.raw("POST /sys").await, "");
    served.stop().await;
}

#[tokio::test]
async fn management_asks_who_it_is() {
    let credentials = Credentials { user: "admin".into(), password: "p:w".into() };
    let memory = echoing(&["env"]).await;
    let served = Served::start(memory.clone(), Config { auth: Some(credentials), ..Config::default() }).await;
    let before = state(&memory).await;
    let right = "authorization: Basic YWRtaW46cDp3\r\n";
    let wrong = "authorization: Basic YWRtaW46cDp4\r\n";
    let call = |line: &str, headers: &str| {
        format!("{line} HTTP/1.1\r\nhost: g\r\nconnection: close\r\n{headers}content-length: 2\r\n\r\n{{}}")
    };
    let protected = [
        ("GET /system/functions", 200),
        ("POST /system/functions", 400),
        ("PUT /system/functions", 400),
        ("DELETE /system/functions", 400),
        ("GET /system/function/env", 200),
        ("POST /system/scale-function/env", 400),
        ("GET /system/info", 200),
        ("GET /system/namespaces", 200),
        ("GET /system/secrets", 200),
        ("POST /system/secrets", 422),
        ("PUT /system/secrets", 422),
        ("DELETE /system/secrets", 422),
        ("GET /system/logs?name=env", 200),
        ("POST /system/namespace/", 400),
        ("GET /system/namespace/openfaas-fn", 200),
        ("PUT /system/namespace/dev", 404),
        ("DELETE /system/namespace/dev", 404),
        ("POST /system/alert", 200),
        ("GET /system/telemetry", 200),
        ("GET /ui/", 404),
    ];
    for (line, status) in protected {
        for headers in ["", wrong, "authorization: Bearer x\r\n", &format!("{right}{wrong}")] {
            let answer = served.golden(&call(line, headers)).await;
            assert!(answer.starts_with("HTTP/1.1 401 Unauthorized\n"), "{line} {headers}: {answer}");
            assert!(answer.contains("\nwww-authenticate: Basic realm=\"Restricted\"\n"), "{answer}");
            assert!(answer.ends_with("\n\ninvalid credentials\n"), "{answer}");
        }
        let answer = served.raw(call(line, right)).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{line}: {answer}");
    }
    for (line, status) in
        [("GET /function/env", 200), ("GET /healthz", 200), ("GET /", 307), ("GET /nothing", 404)]
    {
        let answer = served.raw(call(line, wrong)).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{line}: {answer}");
    }
    assert_eq!(state(&memory).await, before);
    served.stop().await;
}
