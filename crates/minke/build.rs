//! Builds the static programs that the binary carries: the watchdog, and the sample function.
//!
//! They are for another target (musl, else glibc linked in), so they are a build of their own, in a folder of their
//! own, that the outer build's flags do not reach.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

const PACKAGES: [(&str, &str); 2] = [("minke-watchdog", "fwatchdog"), ("minke-example-hello", "hello")];

fn main() {
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR")).join("../..");
    for input in
        ["crates/watchdog", "crates/model", "examples/hello/src", "examples/hello/Cargo.toml", "Cargo.lock"]
    {
        println!("cargo::rerun-if-changed={}", root.join(input).display());
    }
    println!("cargo::rerun-if-env-changed=MINKE_COMMIT");
    let commit = env::var("MINKE_COMMIT").ok().filter(|sha| !sha.is_empty()).or_else(|| head(&root));
    println!("cargo::rustc-env=BUILD_COMMIT={}", commit.unwrap_or_else(|| "unknown".into()));

    let arch = variable("CARGO_CFG_TARGET_ARCH");
    let musl = format!("{arch}-unknown-linux-musl");
    let target = if installed(&musl) { musl } else { format!("{arch}-unknown-linux-gnu") };
    // OUT_DIR is <target folder>/<profile>/build/<package>/out.
    let out = PathBuf::from(variable("OUT_DIR"));
    let folder = out.ancestors().nth(4).expect("OUT_DIR is deep in the target folder").join("static");
    build(&root, &target, &folder);
    for (_, program) in PACKAGES {
        let built = folder.join(&target).join("static").join(program);
        println!("cargo::rustc-env=BUILD_{}={}", program.to_uppercase(), built.display());
    }
}

fn build(root: &Path, target: &str, folder: &Path) {
    let mut cargo = Command::new(variable("CARGO"));
    cargo.current_dir(root).args(["build", "--quiet", "--locked", "--profile", "static", "--target", target]);
    cargo.arg("--target-dir").arg(folder);
    for (package, _) in PACKAGES {
        cargo.args(["--package", package]);
    }
    for outer in ["RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "CARGO_ENCODED_RUSTFLAGS", "CARGO_TARGET_DIR"] {
        cargo.env_remove(outer);
    }
    if target.ends_with("-gnu") {
        cargo.env("RUSTFLAGS", "-C target-feature=+crt-static");
    } else {
        cargo.env_remove("RUSTFLAGS");
    }
    let status = cargo.status().expect("cargo runs");
    assert!(status.success(), "failed to build the static programs for {target}");
}

/// Whether the toolchain has a standard library for `target`.
fn installed(target: &str) -> bool {
    let output =
        Command::new(variable("RUSTC")).args(["--print", "target-libdir", "--target", target]).output();
    let folder = output.ok().filter(|o| o.status.success()).and_then(|o| String::from_utf8(o.stdout).ok());
    folder.is_some_and(|folder| Path::new(folder.trim()).is_dir())
}

fn head(root: &Path) -> Option<String> {
    let git =
        Command::new("git").current_dir(root).args(["rev-parse", "--short=12", "HEAD"]).output().ok()?;
    let sha = String::from_utf8(git.stdout).ok()?;
    println!("cargo::rerun-if-changed={}", root.join(".git/HEAD").display());
    git.status.success().then(|| sha.trim().to_owned())
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"))
}
