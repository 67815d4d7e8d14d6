//! `/system/secrets`: every status, and values that never come back.

use std::sync::Arc;

use gateway::Config;
use model::secret::SECRET_MAX;
use model::{Namespace, NamespaceSpec, SecretId, SecretName};
use provider::{Memory, Provider};

use crate::exchanges::{check, empty, json, request, text};
use crate::support::{Served, echoing};

const VALUE: &str = "s3cret-v4lue";

async fn start() -> (Served, Arc<Memory>) {
    let memory = echoing(&[]).await;
    let dev = NamespaceSpec::marked(Namespace::parse("dev").expect("namespace"));
    memory.create_namespace(dev).await.expect("create");
    (Served::start(memory.clone(), Config::default()).await, memory)
}

/// What a function would read.
fn stored(memory: &Memory, name: &str, namespace: &str) -> Vec<u8> {
    let name = SecretName::parse(name).expect("name");
    let id = SecretId::new(name, Namespace::parse(namespace).expect("namespace"));
    memory.secret(&id).expect("a secret").as_bytes().to_vec()
}

#[tokio::test]
async fn the_life_of_a_secret() {
    let (served, memory) = start().await;
    let accepted = empty("202 Accepted");
    let body = format!("{{\"name\":\"db.password\",\"value\":\"{VALUE}\"}}");
    check(&served, "GET /system/secrets", &json("[]")).await;
    let missing = text("404 Not Found", "secret db.password of namespace openfaas-fn is not found");
    check(&served, &format!("PUT /system/secrets\n\n{body}"), &missing).await;
    check(&served, &format!("POST /system/secrets\n\n{body}"), &accepted).await;
    assert_eq!(stored(&memory, "db.password", "openfaas-fn"), VALUE.as_bytes());
    let exists = "secret db.password of namespace openfaas-fn already exists; update it or remove it first";
    check(&served, &format!("POST /system/secrets\n\n{body}"), &text("409 Conflict", exists)).await;

    // `rawValue` wins, and has the exact bytes; `value` is what is left of them as text.
    let raw = "{\"name\":\"db.password\",\"value\":\"trimmed\",\"rawValue\":\"AP8gCg==\"}";
    check(&served, &format!("PUT /system/secrets\n\n{raw}"), &accepted).await;
    assert_eq!(stored(&memory, "db.password", "openfaas-fn"), [0, 255, b' ', b'\n']);
    let empty_raw = "{\"NAME\":\"db.password\",\"Value\":\"kept\",\"rawvalue\":\"\"}";
    check(&served, &format!("PUT /system/secrets\n\n{empty_raw}"), &accepted).await;
    assert_eq!(stored(&memory, "db.password", "openfaas-fn"), b"kept");

    // The namespace comes back as it was asked for: `faas-cli secret apply` compares the two.
    let listed =
        |namespace: &str| json(&format!("[{{\"name\":\"db.password\",\"namespace\":\"{namespace}\"}}]"));
    check(&served, "GET /system/secrets", &listed("")).await;
    check(&served, "GET /system/secrets?namespace=", &listed("")).await;
    check(&served, "GET /system/secrets?namespace=openfaas-fn", &listed("openfaas-fn")).await;
    check(&served, "GET /system/secrets?namespace=dev", &json("[]")).await;

    check(&served, "DELETE /system/secrets\n\n{\"name\":\"db.password\"}", &accepted).await;
    check(&served, "DELETE /system/secrets\n\n{\"name\":\"db.password\"}", &missing).await;
    check(&served, "GET /system/secrets", &json("[]")).await;
    served.stop().await;
}

#[tokio::test]
async fn the_namespace_of_a_secret_may_be_in_the_body_or_the_query() {
    let (served, memory) = start().await;
    let accepted = empty("202 Accepted");
    for (query, body) in [
        ("?namespace=dev", ""),
        ("", ",\"namespace\":\"dev\""),
        ("?namespace=dev", ",\"namespace\":\"dev\""),
        ("?namespace=dev", ",\"namespace\":null"),
    ] {
        for method in ["POST", "PUT"] {
            let line =
                format!("{method} /system/secrets{query}\n\n{{\"name\":\"a\",\"value\":\"{method}\"{body}}}");
            check(&served, &line, &accepted).await;
            assert_eq!(stored(&memory, "a", "dev"), method.as_bytes());
        }
        let line = format!("DELETE /system/secrets{query}\n\n{{\"name\":\"a\"{body}}}");
        check(&served, &line, &accepted).await;
    }
    served.stop().await;
}

#[tokio::test]
async fn a_secret_that_a_function_names_stays() {
    let (served, _) = start().await;
    let accepted = empty("202 Accepted");
    let deploy = "POST /system/functions\n\n{\"service\":\"env\",\"image\":\"e\",\"secrets\":[\"a\"]}";
    let absent = "secret a of namespace openfaas-fn is not found; create it first";
    check(&served, deploy, &text("400 Bad Request", absent)).await;
    check(&served, "POST /system/secrets\n\n{\"name\":\"a\",\"value\":\"x\"}", &accepted).await;
    check(&served, deploy, &accepted).await;
    let used = "secret a of namespace openfaas-fn is used by function env.openfaas-fn; remove it there first";
    check(&served, "DELETE /system/secrets\n\n{\"name\":\"a\"}", &text("400 Bad Request", used)).await;
    check(&served, "DELETE /system/functions\n\n{\"functionName\":\"env\"}", &accepted).await;
    check(&served, "DELETE /system/secrets\n\n{\"name\":\"a\"}", &accepted).await;
    served.stop().await;
}

/// Each answer is told in full, so that a value in any of them is seen.
#[tokio::test]
async fn refusals_tell_no_value() {
    let (served, memory) = start().await;
    let encoded = "czNjcmV0LXY0bHVl";
    let cases: &[(&str, u16, &str)] = &[
        ("", 400, "it is not an object"),
        ("\"s3cret-v4lue\"", 400, "it is not an object"),
        ("[\"a\",\"s3cret-v4lue\"]", 400, "it is not an object"),
        ("{\"name\":\"a\",\"value\":\"s3cret-v4lue", 400, "value: EOF while parsing"),
        ("{\"name\":\"a\",\"value\":\"s3cret-v4lue\\q\"}", 400, "value: invalid escape"),
        ("{\"name\":\"a\",\"value\":\"s3cret-v4lue\n\"}", 400, "value: control character"),
        ("{\"name\":\"a\",\"value\":s3cret-v4lue}", 400, "value: expected value"),
        ("{\"name\":\"a\",\"value\":[\"s3cret-v4lue\"]}", 400, "value: is a list; it must be text"),
        ("{\"name\":\"a\",\"value\":{\"s3cret-v4lue\":1}}", 400, "value: is an object; it must be text"),
        ("{\"name\":\"a\",\"value\":374937}", 400, "value: is a number; it must be text"),
        ("{\"name\":\"a\",\"rawValue\":374937}", 400, "rawValue: is a number; it must be text"),
        ("{\"name\":\"a\",\"rawValue\":\"czNjcmV0LXY0bHVl=\"}", 400, "rawValue: is not padded base64"),
        ("{\"name\":\"a\",\"rawValue\":\"s3cret-v4lue\"}", 400, "rawValue: is not padded base64"),
        ("{\"name\":7,\"value\":\"s3cret-v4lue\"}", 400, "name: is a number"),
        ("{\"value\":\"s3cret-v4lue\"}", 422, "name: is required"),
        ("{\"name\":\"\",\"value\":\"s3cret-v4lue\"}", 422, "name: is required"),
        ("{\"name\":null,\"value\":\"s3cret-v4lue\"}", 422, "name: is required"),
        ("{\"name\":\"Upper\",\"value\":\"s3cret-v4lue\"}", 422, "name: \"Upper\" is not a secret name"),
        ("{\"name\":\"a_b\",\"value\":\"s3cret-v4lue\"}", 422, "is not a secret name"),
        ("{\"name\":\"../../etc/passwd\",\"value\":\"s3cret-v4lue\"}", 422, "is not a secret name"),
        ("{\"name\":\"a\",\"value\":\"s3cret-v4lue\",\"namespace\":\"nowhere\"}", 400, "does not exist"),
        ("{\"name\":\"a\",\"value\":\"s3cret-v4lue\",\"namespace\":\"No\"}", 400, "namespace: "),
        ("{\"name\":\"a\",\"value\":\"s3cret-v4lue\",\"namespace\":\"kube-system\"}", 400, "reserved"),
    ];
    for (body, status, words) in cases {
        for method in ["POST", "PUT"] {
            let answer = served.raw(request(&format!("{method} /system/secrets\nx: y\n\n{body}"))).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{body}\n→ {answer}");
            assert!(answer.contains(words), "{body}\n→ {answer}\nwithout {words:?}");
            for told in [VALUE, encoded, "374937"] {
                assert!(!answer.contains(told), "{body}\n→ {answer}");
            }
        }
    }
    let clash = "POST /system/secrets?namespace=dev\n\n{\"name\":\"a\",\"namespace\":\"openfaas-fn\"}";
    let answer = served.raw(request(clash)).await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("say one of them"), "{answer}");
    let nowhere = served.raw(request("GET /system/secrets?namespace=nowhere")).await;
    assert!(nowhere.starts_with("HTTP/1.1 400 "), "{nowhere}");
    assert!(memory.secrets(&Namespace::default()).await.expect("list").is_empty());
    served.stop().await;
}

#[tokio::test]
async fn the_largest_secret_fits_in_both_forms_and_a_larger_one_is_refused() {
    let (served, memory) = start().await;
    let post = |value: &str, raw: &str| {
        request(&format!(
            "POST /system/secrets\n\n{{\"name\":\"big\",\"value\":\"{value}\",\"rawValue\":\"{raw}\"}}"
        ))
    };
    // As Go's encoder writes bytes that are no text, six for one.
    let (value, raw) = ("\\ufffd".repeat(SECRET_MAX), "////".repeat(SECRET_MAX / 3) + "/w==");
    let answer = served.raw(post(&value, &raw)).await;
    assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
    assert_eq!(stored(&memory, "big", "openfaas-fn"), vec![255; SECRET_MAX]);

    let larger = served.raw(post(&"x".repeat(SECRET_MAX + 1), "")).await;
    assert!(
        larger.starts_with("HTTP/1.1 400 ") && larger.contains("at most 1048576 are allowed"),
        "{larger}"
    );
    let announced =
        format!("POST /system/secrets HTTP/1.1\r\nhost: g\r\ncontent-length: {}\r\n\r\n", 9 * SECRET_MAX);
    let refused = served.raw(announced).await;
    assert!(refused.starts_with("HTTP/1.1 413 "), "{refused}");
    served.stop().await;
}
