//! The decoder against what Go does with the same text.

use serde_json::json;

use super::*;

fn decoded<T>(text: &str) -> Result<serde_json::Value, String>
where
    T: serde::de::DeserializeOwned + serde::Serialize,
{
    let value: T = serde_json::from_str(text).map_err(|error| error.to_string())?;
    Ok(serde_json::to_value(value).unwrap())
}

#[test]
fn keys_and_nulls_are_read_as_go_reads_them() {
    let check = |text: &str, want: serde_json::Value| {
        assert_eq!(decoded::<FunctionDeployment>(text).unwrap(), want, "{text}");
    };
    let bare =
        |service: &str| json!({"service": service, "image": null, "labels": null, "annotations": null});
    check(r#"{"service":"a"}"#, bare("a"));
    check(r#"{"SERVICE":"a"}"#, bare("a"));
    check(r#"{"sErViCe":"a","Service":"b"}"#, bare("b"));
    check(r#"{"service":"a","SERVICE":"b"}"#, bare("b"));
    check(r#"{"service":"a","service":"b","unknown":[{"x":[1.5,null]}]}"#, bare("b"));
    check(r#"{"service":"a","service":null}"#, bare("a"));
    check(r#"{"service":"a","limits":{},"limits":null,"ſervice":"b"}"#, bare("a"));
    check(
        r#"{"labels":{"a":"1","b":null},"LABELS":{"a":"2"},"annotations":{"x":"y"},"Annotations":null}"#,
        json!({"service": null, "image": null, "labels": {"a": "2", "b": ""}, "annotations": null}),
    );
    check(
        r#"{"secrets":["a"],"Secrets":["b",null],"limits":{"memory":"1"},"Limits":{"CPU":"2"},
            "READONLYROOTFILESYSTEM":true,"EnvVars":{"A":"b"}}"#,
        json!({"service": null, "image": null, "labels": null, "annotations": null, "secrets": ["b", ""],
            "limits": {"memory": "1", "cpu": "2"}, "readOnlyRootFilesystem": true, "envVars": {"A": "b"}}),
    );
    assert_eq!(
        decoded::<ScaleServiceRequest>(r#"{"REPLICAS":3,"ServiceName":"a"}"#).unwrap(),
        json!({"serviceName": "a", "replicas": 3})
    );
    assert_eq!(
        decoded::<AlertRequest>(
            r#"{"status":"firing","version":"4","alerts":[{"labels":{"function_name":"a"}},null]}"#
        )
        .unwrap(),
        json!({"status": "firing", "alerts": [
            {"status": null, "labels": {"function_name": "a"}}, {"status": null, "labels": null}]})
    );
}

#[test]
fn what_is_of_another_type_is_refused_by_its_field_and_without_its_value() {
    let check = |text: &str, want: &str| {
        let told = decoded::<FunctionDeployment>(text).unwrap_err();
        assert!(told.starts_with(want), "{text}: {told}");
        assert!(!told.contains("s3cret") && !told.contains("1234"), "{told}");
    };
    check(r#"{"service":1234}"#, "service: is a number; it must be text at line 1");
    check(r#"{"service":-1234}"#, "service: is a negative number; it must be text");
    check(r#"{"Service":12.34}"#, "service: is a number with a fraction");
    check(r#"{"service":true}"#, "service: is true or false; it must be text");
    check(r#"{"service":["s3cret"]}"#, "service: is a list; it must be text");
    check(r#"{"service":{"s3cret":1}}"#, "service: is an object; it must be text");
    check(r#"{"labels":"s3cret"}"#, "labels: is text; it must be an object");
    check(r#"{"labels":{"a":1234}}"#, "labels: is a number; it must be text");
    check(r#"{"secrets":{"a":"s3cret"}}"#, "secrets: is an object; it must be a list");
    check(r#"{"secrets":[1234]}"#, "secrets: is a number; it must be text");
    check(r#"{"limits":{"memory":1234}}"#, "limits: memory: is a number; it must be text");
    check(r#"{"readOnlyRootFilesystem":"s3cret"}"#, "readOnlyRootFilesystem: is text; it must be true or");
    check(r#"["s3cret"]"#, "is a list; it must be an object");
    check(r#""s3cret""#, "is text; it must be an object");
    check(r#"{"service":"s3cret"#, "service: EOF while parsing a string");
    // What is not asked for is passed over without a stack of its own.
    check(&format!("{{\"x\":{}", "[".repeat(10_000)), "EOF while parsing a list");
    let replicas = |text: &str| decoded::<ScaleServiceRequest>(text).unwrap_err();
    for (text, kind) in [
        ("1.0", "a number with a fraction"),
        ("-1", "a negative number"),
        ("1e2", "a number with a fraction"),
        ("18446744073709551616", "a number with a fraction or beyond 64 bits"),
        ("\"1\"", "text"),
    ] {
        let told = replicas(&format!("{{\"replicas\":{text}}}"));
        assert!(told.starts_with(&format!("replicas: is {kind}")), "{told}");
    }
}

#[test]
fn a_secret_is_not_shown() {
    let secret: Secret =
        serde_json::from_str(r#"{"name":"a","value":"s3cret","RawValue":"czNjcmV0"}"#).unwrap();
    assert_eq!(secret.raw_value.as_deref(), Some("czNjcmV0"));
    let shown = format!("{secret:?}");
    assert!(!shown.contains("s3cret") && !shown.contains("czNjcmV0"), "{shown}");
    for text in
        [r#"{"value":1234}"#, r#"{"value":["s3cret"]}"#, r#"{"value":"s3cret\x"}"#, r#"{"value":"s3cret"#]
    {
        let told = serde_json::from_str::<Secret>(text).unwrap_err().to_string();
        assert!(told.starts_with("value: ") && !told.contains("s3cret") && !told.contains("1234"), "{told}");
    }
}
