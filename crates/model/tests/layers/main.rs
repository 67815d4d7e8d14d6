//! Holds the house to its plan: which crate may import which, and what the sources must stay free of.
//!
//! It lives in `model` because that is the bottom: everything stands on it, and it needs nothing to run.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod arrows;
mod sources;

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Fails with every finding on a line of its own.
fn none(findings: &[String]) {
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}
