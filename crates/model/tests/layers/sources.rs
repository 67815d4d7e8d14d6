//! What the sources must stay free of. These read text, not Rust: simple, and wrong only where someone hides.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{none, root};

const LINES_MAX: usize = 500;
const ENVIRONMENT: &str = "crates/model/src/env.rs";

#[test]
fn files_stay_small() {
    let long = |file: &Source| {
        let lines = file.text.lines().count();
        (lines > LINES_MAX)
            .then(|| format!("{}: {lines} lines, more than {LINES_MAX}; give a part its own file", file.name))
    };
    none(&sources().iter().filter_map(long).collect::<Vec<_>>());
}

#[test]
fn unsafe_stays_in_provider_oci() {
    let tokens = ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern", "unsafe trait", "(unsafe_code"];
    none(&found(&tokens, "unsafe is for provider-oci alone", |file| {
        file.starts_with("crates/provider-oci/")
    }));
}

#[test]
fn nothing_is_left_to_do() {
    let tokens = ["todo!(", "unimplemented!(", "dbg!("];
    none(&found(&tokens, "finish it", |_| false));
}

#[test]
fn environment_variables_are_named_in_one_file() {
    let elsewhere = |file: &str| file == ENVIRONMENT || !file.starts_with("crates/");
    let named = |line: &str| {
        let literal =
            line.split("\"MINKE_").skip(1).any(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()));
        // What the build script tells the compiler is no variable of a running program.
        let read = ["env::var(\"", "env::var_os(\"", "env = \""].iter().any(|token| line.contains(token));
        (literal && !line.contains("env!(")) || read
    };
    none(&lines(elsewhere, named, &format!("name the variable in {ENVIRONMENT}")));
}

struct Source {
    /// From the root of the repository.
    name: String,
    text: String,
}

fn found(tokens: &[&str], advice: &str, allowed: impl Fn(&str) -> bool) -> Vec<String> {
    lines(allowed, |line| tokens.iter().any(|token| line.contains(token)), advice)
}

/// The lines of code, without comments and unit tests, that `bad` finds.
fn lines(allowed: impl Fn(&str) -> bool, bad: impl Fn(&str) -> bool, advice: &str) -> Vec<String> {
    let mut findings = Vec::new();
    let is_test = |file: &&Source| file.name.ends_with("/tests.rs");
    for file in sources().iter().filter(|file| !allowed(&file.name) && !is_test(file)) {
        let code = file.text.lines().take_while(|line| !line.starts_with("#[cfg(test)]"));
        for (number, line) in code.enumerate() {
            if !line.trim_start().starts_with("//") && bad(line) {
                findings.push(format!("{}:{}: {}: {advice}", file.name, number + 1, line.trim()));
            }
        }
    }
    findings
}

/// Every Rust file that becomes part of a program or a library.
fn sources() -> Vec<Source> {
    let root = root();
    let mut files = Vec::new();
    for folder in folders(&root.join("crates")).into_iter().chain(folders(&root.join("examples"))) {
        collect(&folder.join("src"), &mut files);
    }
    collect(&root.join("bench/src"), &mut files);
    assert!(files.len() > 30, "only {} sources are found under {}", files.len(), root.display());
    let source = |path: PathBuf| Source {
        name: path.strip_prefix(&root).unwrap().display().to_string(),
        text: fs::read_to_string(&path).unwrap(),
    };
    files.into_iter().map(source).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in entries(folder) {
        if entry.is_dir() {
            collect(&entry, files);
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            files.push(entry);
        }
    }
}

fn folders(folder: &Path) -> Vec<PathBuf> {
    entries(folder).into_iter().filter(|entry| entry.is_dir()).collect()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
}
