//! `/system/namespaces` and `/system/namespace/{name}`: every status, and the marks.

use gateway::Config;

use crate::exchanges::{check, empty, json, request, text};
use crate::support::{Served, echoing};

const CREATE: &str = "POST /system/namespace/";

#[tokio::test]
async fn the_life_of_a_namespace() {
    let served = Served::start(echoing(&[]).await, Config::default()).await;
    // As the SDKs write it.
    let dev = "{\"name\":\"dev\",\"annotations\":{\"openfaas\":\"1\",\"note\":\"n\"},\"labels\":{\"openfaas\":\"1\"}}";
    let missing = text("404 Not Found", "namespace dev is not found");
    check(&served, "GET /system/namespaces", &json("[\"openfaas-fn\"]")).await;
    check(&served, "GET /system/namespace/dev", &missing).await;
    check(&served, &format!("PUT /system/namespace/dev\n\n{dev}"), &missing).await;
    check(&served, &format!("DELETE /system/namespace/dev\n\n{dev}"), &missing).await;

    check(&served, &format!("{CREATE}\n\n{dev}"), &empty("201 Created")).await;
    let exists = "namespace dev already exists; update it or remove it first";
    check(&served, &format!("{CREATE}\n\n{dev}"), &text("409 Conflict", exists)).await;
    check(&served, "GET /system/namespaces", &json("[\"openfaas-fn\",\"dev\"]")).await;
    let told = "{\"name\":\"dev\",\"annotations\":{\"note\":\"n\",\"openfaas\":\"1\"},\"labels\":{\"openfaas\":\"1\"}}";
    check(&served, "GET /system/namespace/dev", &json(told)).await;

    // Replaced, not merged; the marks stay whether they are told or not.
    let update = "PUT /system/namespace/dev\n\n{\"name\":\"dev\",\"labels\":{\"team\":\"a\"}}";
    check(&served, update, &empty("202 Accepted")).await;
    let told = "{\"name\":\"dev\",\"annotations\":{\"openfaas\":\"1\"},\"labels\":{\"openfaas\":\"1\",\"team\":\"a\"}}";
    check(&served, "GET /system/namespace/dev", &json(told)).await;

    let env = "{\"service\":\"env\",\"image\":\"e\",\"namespace\":\"dev\"}";
    check(&served, &format!("POST /system/functions\n\n{env}"), &empty("202 Accepted")).await;
    let holds = "namespace dev holds 1 functions and 0 secrets; remove them first";
    check(&served, "DELETE /system/namespace/dev", &text("400 Bad Request", holds)).await;
    let call = served.raw(request("GET /function/env.dev/x")).await;
    assert!(call.starts_with("HTTP/1.1 200 "), "{call}");
    let list = served.raw(request("GET /system/functions?namespace=dev")).await;
    assert!(list.contains("\"namespace\":\"dev\""), "{list}");
    check(&served, "GET /system/functions", &json("[]")).await;
    let delete = "DELETE /system/functions?namespace=dev\n\n{\"functionName\":\"env\"}";
    check(&served, delete, &empty("202 Accepted")).await;

    check(&served, "DELETE /system/namespace/dev", &empty("202 Accepted")).await;
    check(&served, "GET /system/namespace/dev", &missing).await;
    check(&served, "GET /system/namespaces", &json("[\"openfaas-fn\"]")).await;
    served.stop().await;
}

#[tokio::test]
async fn a_body_of_a_removal_may_be_left_out_but_not_contradict() {
    let served = Served::start(echoing(&[]).await, Config::default()).await;
    for body in [
        "",
        "{}",
        "null",
        "{\"name\":\"dev\"}",
        "{\"name\":\"\",\"labels\":null}",
        "{\"name\":\"dev\",\"labels\":{\"openfaas\":\"1\"}}",
    ] {
        check(&served, &format!("{CREATE}dev\n\n{{\"name\":\"dev\"}}"), &empty("201 Created")).await;
        check(&served, &format!("DELETE /system/namespace/dev\n\n{body}"), &empty("202 Accepted")).await;
    }
    check(&served, &format!("{CREATE}dev\n\n{{}}"), &empty("201 Created")).await;
    for (body, words) in [
        ("{\"name\":\"prod\"}", "name: the body says \"prod\" and the path says \"dev\""),
        ("{\"name\":\"dev\",\"labels\":{\"openfaas\":\"0\"}}", "labels: openfaas must be \"1\""),
        ("{\"name\":7}", "name: is a number"),
        ("[]", "it is not an object"),
        ("{", "JSON"),
    ] {
        let answer = served.raw(request(&format!("DELETE /system/namespace/dev\n\n{body}"))).await;
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains(words), "{body}: {answer}");
    }
    check(&served, "DELETE /system/namespace/dev", &empty("202 Accepted")).await;
    served.stop().await;
}

#[tokio::test]
async fn what_no_namespace_can_be() {
    let served = Served::start(echoing(&[]).await, Config::default()).await;
    let cases: &[(&str, &str, u16, &str)] = &[
        (CREATE, "", 400, "it is not an object"),
        (CREATE, "{}", 400, "name: namespace is empty"),
        (CREATE, "{\"name\":\"Dev\"}", 400, "name: namespace \"Dev\" is not valid"),
        (CREATE, "{\"name\":\"a.b\"}", 400, "name: "),
        (CREATE, "{\"name\":\"kube-system\"}", 400, "reserved"),
        (CREATE, "{\"name\":\"dev\",\"labels\":{\"openfaas\":\"true\"}}", 400, "labels: openfaas must be"),
        (CREATE, "{\"name\":\"dev\",\"annotations\":{\"openfaas\":\"\"}}", 400, "annotations: openfaas"),
        (CREATE, "{\"name\":\"dev\",\"labels\":[]}", 400, "labels: is a list"),
        ("POST /system/namespace/prod", "{\"name\":\"dev\"}", 400, "say one of them"),
        ("POST /system/namespace", "{\"name\":\"dev\"}", 404, "404 page not found"),
        ("POST /system/namespaces", "{\"name\":\"dev\"}", 405, ""),
        ("PUT /system/namespace/", "{\"name\":\"dev\"}", 400, "name: namespace is empty"),
        ("PUT /system/namespace/prod", "{\"name\":\"dev\"}", 400, "say one of them"),
        ("PUT /system/namespace/Dev", "{}", 400, "name: "),
        ("DELETE /system/namespace/", "{}", 400, "name: namespace is empty"),
        ("DELETE /system/namespace/openfaas-fn", "{}", 400, "the default one and stays"),
        ("DELETE /system/namespace/kube-system", "{}", 400, "reserved"),
        ("GET /system/namespace/", "", 404, ""),
        ("GET /system/namespace/kube-system", "", 404, ""),
        ("GET /system/namespace/No_Name", "", 404, ""),
        ("GET /system/namespace/a%2Fb", "", 404, "404 page not found"),
        ("PATCH /system/namespace/dev", "{}", 405, ""),
        ("GET /system/functions?namespace=dev", "", 400, "does not exist"),
    ];
    for (line, body, status, words) in cases {
        let answer = served.raw(request(&format!("{line}\n\n{body}"))).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{line} {body}\n→ {answer}");
        assert!(answer.contains(words), "{line} {body}\n→ {answer}");
    }
    check(&served, "GET /system/namespaces", &json("[\"openfaas-fn\"]")).await;
    served.stop().await;
}
