//! `docs/reference/openapi.json` is written here, from the wire types and the table of routes, and compared with what
//! lies on disk and what is served.

mod answers;
mod routes;
mod schemas;

use std::path::PathBuf;

use gateway::{Config, Credentials};
use serde_json::{Map, Value, json};

use crate::support::{Served, echoing};

/// Writes the document in place of comparing it.
const BLESS: &str = "MINKE_BLESS";

fn document() -> Value {
    let mut paths = Map::new();
    for operation in routes::operations() {
        let item = paths.entry(operation.path).or_insert_with(|| json!({}));
        item[operation.method] = operation.described();
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Minke",
            "summary": "Functions, their secrets, namespaces and logs, and the calls to them.",
            "description": "The OpenFaaS-compatible REST API of the gateway. Where a request may name a namespace in \
                its body and in its query, either will do; both must then say the same. Keys of bodies are matched in \
                any case, unknown ones are ignored, and `null` is as if the key were not there. Errors are plain text.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
            "version": env!("CARGO_PKG_VERSION"),
        },
        "servers": [{ "url": "/" }],
        "tags": [
            { "name": "functions" },
            { "name": "calls" },
            { "name": "secrets" },
            { "name": "namespaces" },
            { "name": "logs" },
            { "name": "platform" },
        ],
        "security": [{ "basic": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "basic": { "type": "http", "scheme": "basic" } },
            "schemas": schemas::all(),
            "responses": answers::all(),
        },
    })
}

fn is_blessing() -> bool {
    std::env::var_os(BLESS).is_some_and(|value| value == "1")
}

#[test]
fn the_document_is_that_of_the_reference() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/openapi.json");
    let mut text = serde_json::to_string_pretty(&document()).expect("JSON");
    text.push('\n');
    if is_blessing() {
        return std::fs::write(&path, text).expect("a file");
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    let first = there.lines().zip(text.lines()).position(|(old, new)| old != new);
    assert!(
        there == text,
        "docs/reference/openapi.json differs, first in line {:?}; run MINKE_BLESS=1 cargo test -p minke-gateway \
         --test it openapi to write it",
        first.map(|line| line + 1)
    );
}

/// Whatever the document refers to is in it.
#[test]
fn no_reference_leads_nowhere() {
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                found.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
                map.values().for_each(|value| references(value, found));
            }
            Value::Array(list) => list.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let document = document();
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 50, "{}", found.len());
    for reference in found {
        let pointer = reference.strip_prefix('#').expect("in the document");
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

#[tokio::test]
async fn the_document_is_served_to_anyone() {
    if is_blessing() {
        // What is served was compiled in before.
        return;
    }
    let credentials = Credentials { user: "admin".into(), password: "secret".into() };
    let served =
        Served::start(echoing(&[]).await, Config { auth: Some(credentials), ..Config::default() }).await;
    let answer = served.raw("GET /openapi.json HTTP/1.1\r\nhost: g\r\nconnection: close\r\n\r\n").await;
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("content-type: application/json"), "{head}");
    assert_eq!(serde_json::from_str::<Value>(body).expect("JSON"), document());
    served.stop().await;
}
