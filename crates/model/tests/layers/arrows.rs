//! Arrows point down only. Development dependencies are held to the same: a test is no way around a wall.

use std::process::Command;

use serde_json::Value;

use crate::{none, root};

/// Each crate of ours and what it may import of ours. A crate that is not here has no place in the house yet.
const MAY_IMPORT: [(&str, &[&str]); 12] = [
    // L1
    ("minke-model", &[]),
    // L2
    ("minke-provider", &["minke-model"]),
    ("minke-image", &["minke-model"]),
    // L3: nothing sideways
    ("minke-gateway", &["minke-model", "minke-provider"]),
    ("minke-autoscaler", &["minke-model", "minke-provider"]),
    ("minke-queue", &["minke-model", "minke-provider"]),
    ("minke-ui", &["minke-model", "minke-provider"]),
    // In every function's image, so as little as can be.
    ("minke-watchdog", &["minke-model"]),
    ("minke-provider-oci", &["minke-model", "minke-provider", "minke-image"]),
    // L4
    (
        "minke",
        &[
            "minke-model",
            "minke-provider",
            "minke-image",
            "minke-gateway",
            "minke-autoscaler",
            "minke-queue",
            "minke-ui",
            "minke-provider-oci",
        ],
    ),
    // Outside the house. The driver puts the gateway alone before a server of its own.
    ("minke-bench", &["minke-model", "minke-provider", "minke-gateway"]),
    ("minke-example-*", &["minke-model", "minke-provider"]),
];

#[test]
fn arrows_point_down() {
    let arrows = arrows();
    assert!(arrows.len() > 5, "cargo told of {} arrows only", arrows.len());
    none(&wrong(&arrows));
}

#[test]
fn a_wrong_arrow_is_named() {
    let check = |from: &str, to: &str, wanted: Option<&str>| {
        let found = wrong(&[(from.into(), to.into())]);
        assert_eq!(found.first().map(String::as_str), wanted);
    };
    check("minke-gateway", "minke-provider", None);
    check("minke-example-echo", "minke-provider", None);
    check(
        "minke-gateway",
        "minke-provider-oci",
        Some("minke-gateway → minke-provider-oci: minke-gateway may import only minke-model, minke-provider"),
    );
    check(
        "minke-model",
        "minke-provider",
        Some("minke-model → minke-provider: minke-model may import nothing of ours"),
    );
    check(
        "minke-example-hello",
        "minke-gateway",
        Some(
            "minke-example-hello → minke-gateway: minke-example-hello may import only minke-model, minke-provider",
        ),
    );
    check(
        "minke-attic",
        "minke-model",
        Some(
            "minke-attic → minke-model: minke-attic is in no layer; give it one in crates/model/tests/layers/arrows.rs",
        ),
    );
}

/// A crate of the workspace and one that it imports.
type Arrow = (String, String);

fn wrong(arrows: &[Arrow]) -> Vec<String> {
    let judge = |(from, to): &Arrow| {
        let Some(allowed) = may_import(from) else {
            return Some(format!(
                "{from} is in no layer; give it one in crates/model/tests/layers/arrows.rs"
            ));
        };
        match allowed {
            _ if allowed.contains(&to.as_str()) => None,
            [] => Some(format!("{from} may import nothing of ours")),
            _ => Some(format!("{from} may import only {}", allowed.join(", "))),
        }
    };
    arrows.iter().filter_map(|arrow| Some(format!("{} → {}: {}", arrow.0, arrow.1, judge(arrow)?))).collect()
}

fn may_import(name: &str) -> Option<&'static [&'static str]> {
    let names = |pattern: &str| match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    };
    MAY_IMPORT.iter().find(|(pattern, _)| names(pattern)).map(|(_, allowed)| *allowed)
}

fn arrows() -> Vec<Arrow> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(root()).args(["metadata", "--offline", "--no-deps", "--format-version", "1"]);
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let name = |value: &Value| value["name"].as_str().unwrap().to_owned();
    let imports = |package: &Value| {
        let from = name(package);
        // What has a path is ours.
        let ours =
            list(&package["dependencies"]).into_iter().filter(|dependency| dependency["path"].is_string());
        ours.map(|dependency| (from.clone(), name(&dependency))).collect::<Vec<_>>()
    };
    list(&metadata["packages"]).iter().flat_map(imports).collect()
}
