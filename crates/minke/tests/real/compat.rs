//! The life of a function through the command line, with the same arguments for two programs: the real `faas-cli`,
//! unmodified, and our own. What scripts parse is held byte for byte.
//!
//! `make test` installs `faas-cli`, and leaves `compat::faas_cli` out, by name, where it is not to be had.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::platform::{MINKE, Platform, build_sample, data_dir, ok};

#[test]
fn faas_cli() {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let installed = ["/usr/local/bin/faas-cli".into(), home.join("go/bin/faas-cli")];
    let program =
        installed.iter().find(|path| path.exists()).expect("faas-cli is installed; `make test` does it");
    life_of_a_function(program);
}

#[test]
fn minke() {
    life_of_a_function(Path::new(MINKE));
}

struct Cli<'a> {
    program: &'a Path,
    url: String,
    home: PathBuf,
}

impl Cli<'_> {
    /// Runs in an empty folder, so that no stack file lies about.
    fn run(&self, args: &[&str], input: &[u8]) -> Output {
        let mut command = Command::new(self.program);
        command.args(args).env("HOME", &self.home).env("OPENFAAS_URL", &self.url).env_remove("CI");
        command.current_dir(&self.home).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        let feeder = std::thread::spawn(move || std::io::Write::write_all(&mut stdin, &input));
        let output = child.wait_with_output().unwrap();
        let _ = feeder.join().unwrap();
        output
    }

    fn ok(&self, args: &[&str]) -> String {
        ok(self.run(args, b""))
    }
}

fn life_of_a_function(program: &Path) {
    let dir = data_dir();
    build_sample(dir.path(), "hello");
    build_sample(dir.path(), "echo");
    let platform = Platform::start(dir.path());
    let home = tempfile::tempdir().unwrap();
    let cli = Cli { program, url: platform.url(), home: home.path().to_owned() };

    let wrong = cli.run(&["login", "--password-stdin"], b"wrong\n");
    assert_eq!(wrong.status.code(), Some(1));
    let login = ok(cli.run(&["login", "--password-stdin"], platform.password().as_bytes()));
    assert!(login.contains(&format!("credentials saved for admin {}", cli.url)), "{login}");

    let empty = cli.ok(&["list"]);
    assert_eq!(empty, format!("{:<30}\t{:<15}\t{:<5}\n", "Function", "Invocations", "Replicas"));

    let deploy =
        ["deploy", "--image", "minke/echo:latest", "--name", "shout", "--label", "team=a", "--env", "K=v"];
    let created = cli.ok(&deploy);
    let url = format!("URL: {}/function/shout", cli.url);
    assert!(created.contains("Deployed. 202 Accepted.") && created.contains(&url), "{created}");
    let updated = cli.ok(&[&deploy[..], &["--annotation", "note=two"]].concat());
    assert!(updated.contains("Deployed. 202 Accepted."), "{updated}");

    let answer = cli.run(
        &["invoke", "shout", "--query", "q=a b", "-H", "X-Odd: yes", "--content-type", "application/json"],
        &vec![b'x'; 5 * 1024 * 1024],
    );
    assert!(answer.status.success());
    assert!(answer.stdout.ends_with(&[b'x'; 4096]) && answer.stdout.len() >= 5 * 1024 * 1024);

    let list = cli.ok(&["list"]);
    assert!(list.lines().any(|line| line == format!("{:<30}\t{:<15}\t{:<5}", "shout", 1, 1)), "{list:?}");
    let verbose = cli.ok(&["list", "--verbose"]);
    let row = verbose.lines().find(|line| line.starts_with("shout")).unwrap_or_else(|| panic!("{verbose}"));
    let head = format!("{:<30}\t{:<40}\t{:<15}\t{:<5}\t\t", "shout", "minke/echo:latest", 1, 1);
    assert!(row.starts_with(&head) && row.ends_with(" +0000 UTC"), "{row:?}");
    assert_eq!(cli.ok(&["list", "--quiet"]), "shout\n");

    let described = cli.ok(&["describe", "shout"]);
    for line in [
        "Name:               shout",
        "Status:             Ready",
        "Replicas:           1",
        "Available Replicas: 1",
        "Invocations:        1",
        "Image:              minke/echo:latest",
        "Function Process:   <default>",
        " team: a",
        " note: two",
        " K: v",
    ] {
        assert!(described.lines().any(|l| l.trim_end() == line), "{line:?} is not in\n{described}");
    }
    assert_eq!(cli.run(&["describe", "nobody"], b"").status.code(), Some(1));

    let version = cli.run(&["version", "--warn-update=false"], b"");
    let version = ok(version);
    assert!(version.contains("Gateway\n uri:     ") && version.contains("\n orchestration: "), "{version}");

    // `faas-cli` has no such command; ours finds the login that either of them has left.
    let ours = Cli { program: Path::new(MINKE), url: cli.url.clone(), home: cli.home.clone() };
    ours.ok(&["scale", "shout", "--replicas", "2"]);
    let removed = cli.ok(&["remove", "shout"]);
    assert!(removed.contains("Deleting: shout") && removed.contains("Removing old function."), "{removed}");
    assert_eq!(cli.run(&["remove", "shout"], b"").status.code(), Some(1));
    assert_eq!(cli.ok(&["list"]), empty);
    assert!(platform.stop().success());
}
