//! The API against its own description, by a tool that is not ours: schemathesis makes requests that the document
//! allows, and ones that it forbids, and judges every answer.
//!
//! `make test` installs it, and leaves `openapi::schemathesis` out, by name, where it is not to be had. `make soak` runs
//! it for longer, with a seed of its own.

use std::process::Command;

use crate::platform::{Platform, data_dir, root};

/// Requests for each operation: what fits into half a minute.
const EXAMPLES: &str = "25";
const EXAMPLES_SOAK: &str = "1000";

#[test]
fn schemathesis() {
    let root = root();
    let program = root.join(".tools/schemathesis/bin/schemathesis");
    assert!(program.exists(), "schemathesis is installed; `make test` does it");
    let dir = data_dir();
    let platform = Platform::start_with(dir.path(), &["--provider", "memory"]);
    let soak = std::env::var_os("MINKE_SOAK").is_some_and(|value| value == "1");
    let seed = if soak { fastrand::u32(..) } else { 1 };

    let mut command = Command::new(program);
    command.current_dir(dir.path()).env("PYTHONDONTWRITEBYTECODE", "1");
    command
        .arg("--no-color")
        .arg("--config-file")
        .arg(root.join("crates/minke/tests/real/schemathesis.toml"));
    // Read from the file: where it is served, the tool would leave out the route that serves it.
    command.arg("run").arg(root.join("docs/reference/openapi.json")).args(["--url", &platform.url()]);
    command.args(["--auth", &format!("admin:{}", platform.password()), "--request-timeout", "30"]);
    command.args(["--phases", "examples,coverage,fuzzing", "--continue-on-failure"]);
    command.args(["--max-examples", if soak { EXAMPLES_SOAK } else { EXAMPLES }]);
    command.args(["--seed", &seed.to_string()]);
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    println!("{told}");
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    let document: serde_json::Value =
        serde_json::from_str(include_str!("../../../../docs/reference/openapi.json")).unwrap();
    let paths = document["paths"].as_object().unwrap().values();
    let operations: usize = paths.map(|item| item.as_object().unwrap().len()).sum();
    assert!(told.contains(&format!("Tested: {operations}")), "not all of {operations} were tested:\n{told}");
    let log = std::fs::read_to_string(dir.path().with_extension("log")).unwrap_or_default();
    assert!(!log.contains("panicked"), "{log}");
}
