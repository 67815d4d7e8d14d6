//! What scripts parse, byte for byte; a `·` stands for a space at the end of a line.

use insta::assert_snapshot;

use crate::support::{Outcome, Place, Recorder};

const LIST: &str = r#"[
 {"name":"zeta","image":"ghcr.io/some/rather-long-name/of-an-image-here:0.1","namespace":"openfaas-fn","invocationCount":42,
  "replicas":3,"availableReplicas":2,"labels":null,"annotations":null,"createdAt":"2026-01-02T03:04:05Z"},
 {"name":"alpha","image":"alpha:1","namespace":"openfaas-fn","replicas":1,"availableReplicas":1,
  "labels":{},"annotations":{},"createdAt":"2026-02-02T03:04:05.5Z"}]"#;

const STATUS: &str = r#"{"name":"env","image":"ghcr.io/a/env:1","namespace":"openfaas-fn","envProcess":"env","replicas":2,
 "availableReplicas":1,"invocationCount":7,"labels":{"b":"2","a":"1"},"annotations":{"topic":"x"},"constraints":["zone=a"],
 "envVars":{"Z":"26","A":""},"secrets":["s2","s1"],"limits":{"memory":"128Mi","cpu":"100m"},"requests":{"memory":"64Mi"},
 "usage":{"cpu":12.2,"totalMemoryBytes":10485760},"createdAt":"2026-01-02T03:04:05Z"}"#;

const INFO: &str = r#"{"provider":{"provider":"faas-netes","version":{"sha":"abc","release":"0.18.1"},"orchestration":"kubernetes"},
 "version":{"sha":"def","release":"0.27.1"},"arch":"x86_64"}"#;

fn show(outcome: &Outcome, gateway: &Recorder) -> String {
    let text = outcome.show(&gateway.url());
    text.lines()
        .map(|line| match line.strip_suffix(' ') {
            Some(start) => format!("{start}·\n"),
            None => format!("{line}\n"),
        })
        .collect()
}

fn run(args: &[&str], answers: &[(u16, &str)]) -> String {
    let gateway = Recorder::answering(answers);
    let place = Place::new().with("OPENFAAS_URL", gateway.url());
    show(&place.run(args), &gateway)
}

#[test]
fn list() {
    assert_snapshot!("list", run(&["list"], &[(200, LIST)]));
    assert_snapshot!("list_by_invocations", run(&["ls", "--sort", "invocations"], &[(200, LIST)]));
    assert_snapshot!("list_by_creation", run(&["list", "--sort=creation", "-q"], &[(200, LIST)]));
    assert_snapshot!("list_verbose", run(&["list", "-v"], &[(200, LIST)]));
    assert_snapshot!("list_quiet", run(&["list", "--quiet=true"], &[(200, LIST)]));
    assert_snapshot!("list_json", run(&["list", "--json"], &[(200, LIST)]));
    assert_snapshot!("list_of_nothing", run(&["list"], &[(200, "null")]));
}

#[test]
fn describe() {
    assert_snapshot!("describe", run(&["describe", "env"], &[(200, STATUS)]));
    assert_snapshot!(
        "describe_verbose",
        run(
            &["describe", "alpha", "-v"],
            &[(200, &LIST[LIST.find(r#"{"name":"alpha"#).unwrap()..LIST.len() - 1]), (200, LIST)]
        )
    );
    assert_snapshot!("describe_json", run(&["describe", "env", "--json", "-n", "dev"], &[(200, STATUS)]));
    assert_snapshot!("describe_missing", run(&["describe", "nope"], &[(404, "")]));
}

#[test]
fn version() {
    let hide = |text: String| text.replace(env!("CARGO_PKG_VERSION"), "VERSION");
    let commit = |text: String| {
        let line =
            text.lines().find(|line| line.trim_start().starts_with("commit:")).unwrap_or_default().to_owned();
        text.replace(&line, "  commit:  COMMIT")
    };
    assert_snapshot!("version", hide(commit(run(&["version"], &[(200, INFO)]))));
    assert_snapshot!("version_short", hide(run(&["version", "--short-version"], &[])));
    assert_snapshot!("version_gateway_refuses", hide(commit(run(&["version"], &[(401, "")]))));
    let place = Place::new();
    let outcome = place.run(&["version", "-g", "http://127.0.0.1:1", "--json"]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(1), ""));
    let outcome = place.run(&["version", "-g", "http://127.0.0.1:1"]);
    assert_eq!(outcome.code, Some(0));
}

#[test]
fn deploy() {
    let flags = ["deploy", "--image", "img", "--name", "fn"];
    assert_snapshot!("deploy_new", run(&flags, &[(404, "not found"), (202, "")]));
    assert_snapshot!("deploy_update", run(&flags, &[(202, "")]));
    assert_snapshot!("deploy_update_200", run(&flags, &[(200, "")]));
    assert_snapshot!("deploy_refused", run(&flags, &[(400, "bad\nquantity")]));
    assert_snapshot!("deploy_unauthorized", run(&flags, &[(401, "")]));
    let mut with_namespace = flags.to_vec();
    with_namespace.extend(["-n", "dev"]);
    assert_snapshot!("deploy_namespace", run(&with_namespace, &[(202, "")]));
}

#[test]
fn remove_and_scale() {
    assert_snapshot!("remove", run(&["remove", "fn"], &[(202, "")]));
    assert_snapshot!("remove_namespace", run(&["rm", "fn", "-n", "dev"], &[(202, "")]));
    assert_snapshot!("remove_missing", run(&["delete", "fn"], &[(404, "")]));
    assert_snapshot!("scale", run(&["scale", "fn", "--replicas", "0"], &[(202, "")]));
    assert_snapshot!("scale_missing", run(&["scale", "fn", "--replicas", "2"], &[(404, "")]));
}

#[test]
fn help_is_for_people() {
    let help = Place::new().run(&["--help"]);
    assert_eq!((help.code, help.stderr.as_str()), (Some(0), ""));
    assert_snapshot!("help", help.stdout);
    assert_snapshot!("help_deploy", Place::new().run(&["deploy", "--help"]).stdout);
    assert_snapshot!("help_login", Place::new().run(&["login", "--help"]).stdout);
}
