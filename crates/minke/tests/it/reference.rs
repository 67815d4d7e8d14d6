//! `docs/reference/` is written here, from what the program says and serves, and compared with what lies on disk.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use model::env::{self, Variable};

use crate::support::Place;

/// Writes the pages in place of comparing them.
const BLESS: &str = "MINKE_BLESS";
const COUNTED_WITHIN: Duration = Duration::from_secs(10);

#[test]
fn the_variables_are_those_of_the_reference() {
    let mut page = String::from("# Environment variables\n\n");
    page += "Flag > environment > settings file > default. Durations are whole seconds or Go's form (`1m30s`). For `minke` \
             an empty\nvariable counts as not set; `build` and `image` alone refuse an empty `MINKE_DATA_DIR`.\n";
    let tables: [(&str, &str, &[Variable]); 5] = [
        (
            "`minke`",
            "A variable that begins with `MINKE_` and is not in this table is refused by `minke up`.",
            env::TABLE,
        ),
        (
            "`minke`, under the names of OpenFaaS",
            "A timeout that cannot be read is warned of, and its default holds.",
            env::openfaas::TABLE,
        ),
        (
            "`minke`, under the names of OpenTelemetry",
            "See [observability](../observability.md).",
            env::otel::TABLE,
        ),
        ("`minke`, as every program", "", env::common::TABLE),
        (
            "`fwatchdog`, in a function's container",
            "The image sets them, the deployment may override them, and the function sees them too. A timeout that \
             cannot be read\nis the default.",
            env::watchdog::TABLE,
        ),
    ];
    for (title, note, rows) in tables {
        write!(page, "\n## {title}\n\n").expect("a string takes it");
        if !note.is_empty() {
            write!(page, "{note}\n\n").expect("a string takes it");
        }
        page += "| variable | default | meaning |\n|---|---|---|\n";
        for Variable { name, default, meaning } in rows {
            writeln!(page, "| `{name}` | {default} | {meaning} |").expect("a string takes it");
        }
    }
    settle("env.md", &page);
}

#[test]
fn no_variable_is_told_twice() {
    for table in
        [env::TABLE, env::openfaas::TABLE, env::common::TABLE, env::otel::TABLE, env::watchdog::TABLE]
    {
        let names: BTreeSet<_> = table.iter().map(|variable| variable.name).collect();
        assert_eq!(names.len(), table.len());
    }
}

#[test]
fn the_commands_are_those_of_the_reference() {
    let mut page = String::from("# The command line\n\n## Exit codes\n\n");
    // The table that the program's own source keeps.
    let told = include_str!("../../src/error.rs").lines().filter_map(|line| line.strip_prefix("//! |"));
    for row in told {
        writeln!(page, "|{row}").expect("a string takes it");
    }
    assert!(page.contains("| 64 |"), "the table of exit codes is not where it was: {page}");
    page += "\n`describe`, `invoke` and the other commands that call a gateway write data to standard output and \
             everything else to\nstandard error.\n";
    help(&Place::new(), &[], &mut page);
    settle("cli.md", &page);
}

/// The help of a command, then of those below it.
fn help(place: &Place, command: &[&str], page: &mut String) {
    let args: Vec<&str> = command.iter().copied().chain(["--help"]).collect();
    let outcome = place.run(&args);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{args:?}");
    let title = [&["minke"], command].concat().join(" ");
    let text: Vec<&str> = outcome.stdout.lines().map(str::trim_end).collect();
    write!(page, "\n## {title}\n\n```text\n{}\n```\n", text.join("\n").trim_end())
        .expect("a string takes it");
    let listed =
        text.iter().skip_while(|line| **line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // A line that goes on is indented further.
    let names = listed.filter_map(|line| line.strip_prefix("  ")?.split_once(' ').map(|(name, _)| name));
    for name in names.filter(|name| !name.is_empty() && *name != "help") {
        help(place, &[command, &[name]].concat(), page);
    }
}

#[test]
fn the_series_are_those_of_the_reference() {
    let place = Place::new();
    let platform = Scraped::start(&place.path("data"));
    let place = place.with("OPENFAAS_URL", &platform.url);
    for (args, stdin) in [
        (&["deploy", "--image", "hello", "--name", "hello", "--wait"][..], &b""[..]),
        (&["scale", "hello", "--replicas", "0"][..], &b""[..]),
        (&["invoke", "hello"][..], &b"hi"[..]),
    ] {
        let outcome = place.run_with(args, stdin);
        assert_eq!(outcome.code, Some(0), "{args:?} {outcome:?}");
    }
    let mut page = String::from("# Metrics\n\n");
    page += "What `/metrics` of the metrics address (`--metrics-listen`, default `127.0.0.1:8082`) serves, in the text \
             format\n0.0.4, to anyone who can connect: with access log and traces on, after a call that woke a function `hello`, \
             without\nthe numbers.\n\n";
    page += "| series | type | labels | meaning |\n|---|---|---|---|\n";
    let scraped = platform.scrape_until("gateway_functions_seconds_count{");
    for Family { name, kind, meaning, labels } in families(&scraped) {
        let labels: Vec<_> = labels.iter().map(|label| format!("`{label}`")).collect();
        writeln!(page, "| `{name}` | {kind} | {} | {meaning} |", labels.join(", "))
            .expect("a string takes it");
    }
    write!(page, "\n```text\n{}```\n", without_numbers(&scraped)).expect("a string takes it");
    settle("metrics.md", &page);
}

struct Family<'a> {
    name: &'a str,
    kind: &'a str,
    meaning: &'a str,
    labels: BTreeSet<&'a str>,
}

/// Each family that has a type, with the labels of all its samples.
fn families(text: &str) -> Vec<Family<'_>> {
    let helps: BTreeMap<&str, &str> =
        text.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split_once(' ')).collect();
    let family = |line| -> Option<Family<'_>> {
        let (name, kind) = str::strip_prefix(line, "# TYPE ")?.split_once(' ')?;
        let samples = text.lines().filter_map(|line| line.strip_prefix(name));
        let suffixes = ["", "_bucket", "_sum", "_count"];
        let sets = samples.filter_map(|rest| {
            let (suffix, set) = rest.split_once('{')?;
            suffixes.contains(&suffix).then(|| set.split_once('}').map(|(set, _)| set)).flatten()
        });
        let labels =
            sets.flat_map(|set| set.split(',')).filter_map(|pair| Some(pair.split_once('=')?.0)).collect();
        Some(Family { name, kind, meaning: helps.get(name).copied().unwrap_or_default(), labels })
    };
    text.lines().filter_map(family).collect()
}

/// A sample ends with its value, which differs every time.
fn without_numbers(text: &str) -> String {
    let line = |line: &str| match line {
        line if line.starts_with('#') => format!("{line}\n"),
        // Differs with every commit.
        line if line.starts_with("minke_build_info{") => {
            "minke_build_info{version=\"…\",revision=\"…\"}\n".to_owned()
        }
        line => format!("{}\n", line.rsplit_once(' ').map_or(line, |(sample, _)| sample)),
    };
    text.lines().map(line).collect()
}

/// `minke up` over the provider in memory, with the address of its metrics.
struct Scraped {
    url: String,
    metrics: String,
    child: Child,
    // Closing it would be a broken pipe for what still writes.
    _stdout: BufReader<ChildStdout>,
}

impl Scraped {
    fn start(data: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_minke"));
        command.args(["up", "--provider", "memory", "--no-auth", "--listen", "127.0.0.1:0"]);
        command.args(["--metrics-listen", "127.0.0.1:0", "--data-dir"]).arg(data).env_clear();
        // All that can be on the page is there, although nothing is written or sent in this time.
        command.args(["--access-log", "text", "--access-log-file", "/dev/null"]);
        command.env(env::otel::ENDPOINT, "http://127.0.0.1:1");
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut addressed = |sign: &str| {
            for line in (&mut stdout).lines() {
                let line = line.expect("text");
                if let Some((_, address)) = line.split_once(sign) {
                    return address.trim().to_owned();
                }
            }
            panic!("it ended without telling {sign:?}")
        };
        let (url, metrics) = (addressed("minke is ready on "), addressed("metrics "));
        let metrics = metrics.trim_start_matches("http://").trim_end_matches("/metrics").to_owned();
        Self { url, metrics, child, _stdout: stdout }
    }

    /// A call is counted when its answer has gone out, which its caller may see a moment before.
    fn scrape_until(&self, sample: &str) -> String {
        let deadline = Instant::now() + COUNTED_WITHIN;
        loop {
            let page = self.scrape();
            if page.contains(sample) {
                return page;
            }
            assert!(Instant::now() < deadline, "no {sample} in {page}");
        }
    }

    fn scrape(&self) -> String {
        let mut stream = TcpStream::connect(&self.metrics).expect("it listens");
        let request = format!("GET /metrics HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.metrics);
        stream.write_all(request.as_bytes()).expect("it takes a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("text");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        body.to_owned()
    }
}

impl Drop for Scraped {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Holds a page to what lies on disk, or writes it.
fn settle(name: &str, page: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference").join(name);
    let page = format!("<!-- Written by crates/minke/tests/it/reference.rs. -->\n\n{page}");
    if std::env::var_os(BLESS).is_some_and(|value| value == "1") {
        std::fs::create_dir_all(path.parent().expect("it is in a folder")).expect("a folder");
        return std::fs::write(&path, page).expect("a page");
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    if there == page {
        return;
    }
    let first = there.lines().zip(page.lines()).position(|(old, new)| old != new);
    let at = first.unwrap_or_else(|| there.lines().count().min(page.lines().count()));
    panic!(
        "docs/reference/{name} differs from line {} on:\n  there: {}\n  now:   {}\n\
         run MINKE_BLESS=1 cargo test -p minke --test it reference to write it",
        at + 1,
        there.lines().nth(at).unwrap_or("(its end)"),
        page.lines().nth(at).unwrap_or("(its end)"),
    );
}
