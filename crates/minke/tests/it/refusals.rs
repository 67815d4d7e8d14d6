//! What is wrong before anything is sent: flags, names, stack files, login files, images. Each with its exact exit
//! code and message, and none reaches the gateway.

use std::fmt::Write as _;

use insta::assert_snapshot;

use crate::support::{Place, Recorder};

/// Runs every row beside a gateway that must stay unasked, and shows how each ends.
fn refused(rows: &[(&str, &[&str])], prepare: impl Fn(&Place, &str)) -> String {
    let gateway = Recorder::answering(&[]);
    let mut table = String::new();
    for (input, args) in rows {
        let place = Place::new().with("OPENFAAS_URL", gateway.url()).with("MINKE_DATA_DIR", "data");
        prepare(&place, input);
        let outcome = place.run(args);
        let shown: Vec<String> = args.iter().map(|arg| arg.chars().take(80).collect()).collect();
        writeln!(
            table,
            "{} {}",
            shown.join(" "),
            if input.is_empty() { String::new() } else { format!("<<< {input:?}") }
        )
        .expect("a string takes it");
        let code = outcome.code.expect("it ends by itself");
        assert!(code == 64 || code == 1, "{args:?} {outcome:?}");
        assert_eq!(outcome.stdout, "", "{args:?} {input:?}");
        writeln!(table, "  {code} {}", outcome.stderr.trim_end().replace(&gateway.url(), "http://GATEWAY"))
            .expect("a string takes it");
        assert_eq!(outcome.stderr.lines().count(), 1, "one line: {args:?} {outcome:?}");
        assert!(!place.path("data").exists(), "nothing is touched: {args:?}");
    }
    assert_eq!(gateway.lines(), Vec::<String>::new());
    table
}

#[test]
fn flags_and_names() {
    let long_name = "a".repeat(64);
    let described = ["describe", &long_name];
    let rows: Vec<(&str, &[&str])> = vec![
        ("", &["bogus"]),
        ("", &["lst"]),
        ("", &["list", "--bogus"]),
        ("", &["list", "--sort", "size"]),
        ("", &["list", "-n", "Not_A_Namespace"]),
        ("", &["list", "-n", "kube-system"]),
        ("", &["list", "extra"]),
        ("", &["list", "-g", "ftp://x"]),
        ("", &["list", "-g", "http://user:pw@x"]),
        ("", &["list", "-g", "not an address"]),
        ("", &["list", "-g", ""]),
        ("", &["list", "--token", " "]),
        ("", &["list", "-f", "missing.yaml"]),
        ("", &["list", "-f", "https://example.com/stack.yaml"]),
        ("", &["list", "--filter", "a", "--regex", "b"]),
        ("", &["describe"]),
        ("", &["describe", "UPPER"]),
        ("", &["describe", ""]),
        ("", &["describe", "a/b"]),
        ("", &described),
        ("", &["describe", "fn.dev", "-n", "prod"]),
        ("", &["scale", "fn"]),
        ("", &["scale", "fn", "--replicas", "-1"]),
        ("", &["scale", "fn", "--replicas", "many"]),
        ("", &["scale", "fn", "--replicas", "99999999999"]),
        ("", &["invoke"]),
        ("", &["invoke", "-x", "fn"]),
        ("", &["invoke", "fn", "--method", "BREW"]),
        ("", &["invoke", "fn", "--query", "novalue"]),
        ("", &["invoke", "fn", "-H", "no colon"]),
        ("", &["invoke", "fn", "-H", "X: a\nY: b"]),
        ("", &["invoke", "fn", "--content-type", "a\nb"]),
        ("", &["invoke", "fn", "--timeout", "soon"]),
        ("", &["invoke", "fn", "--timeout", "0s"]),
        ("", &["deploy"]),
        ("", &["deploy", "--image", "i"]),
        ("", &["deploy", "--name", "n"]),
        ("", &["deploy", "--image", "i", "--name", "n", "-f", "stack.yaml"]),
        ("", &["deploy", "--image", "i", "--name", "n", "--replace"]),
        ("", &["deploy", "--image", "i", "--name", "n", "-e", "NOVALUE"]),
        ("", &["deploy", "--image", "i", "--name", "n", "-e", "=x"]),
        ("", &["deploy", "--image", "i", "--name", "n", "-l", "white space=x"]),
        ("", &["deploy", "--image", "i", "--name", "n", "--secret", "Not A Secret"]),
        ("", &["deploy", "--image", "i", "--name", "n", "--memory-limit", "lots"]),
        ("", &["deploy", "--image", "i", "--name", "n", "--memory-limit", "-5Mi"]),
        ("", &["deploy", "--image", "i", "--name", "n", "--cpu-limit", "1m"]),
        ("", &["deploy", "--image", "i", "--name", "n", "--constraint", ""]),
        ("", &["deploy", "--image", "i", "--name", "n", "--tag", "sha"]),
        ("", &["deploy", "--image", "i", "--name", "n", "--update=maybe"]),
        ("", &["deploy", "--image", "i", "--name", "n", "--timeout", "x"]),
        ("", &["deploy", "--image", "UP/Case", "--name", "n"]),
        ("", &["deploy", "--image", "a:b:c", "--name", "n"]),
        ("", &["deploy", "--image", "", "--name", "n"]),
        ("", &["deploy", "--image", "i", "--name", "two.parts"]),
        ("", &["deploy", "--image", "i", "--name", "-x"]),
        ("", &["remove"]),
        ("", &["remove", "a", "b"]),
        ("", &["login"]),
        ("", &["login", "-s"]),
        ("", &["login", "-p", " "]),
        ("", &["login", "-p", "x", "-s"]),
        ("", &["login", "-u", "a:b", "-p", "x"]),
        ("", &["login", "--timeout", "never", "-p", "x"]),
        ("", &["logout", "-g", "::"]),
        ("", &["version", "extra"]),
        ("", &["build"]),
        ("", &["build", "--image", "i"]),
        ("", &["build", "--image", "i", "--handler", "missing"]),
        ("", &["build", "--image", "i", "--handler", "."]),
        ("", &["build", "--image", "i", "--handler", ".", "--lang", "python3-http"]),
        ("", &["build", "--image", "i", "--handler", ".", "-b", "NOVALUE"]),
        ("", &["image", "import", "missing.tar"]),
        ("", &["image", "remove", "UPPER"]),
        ("", &["image", "remove"]),
        ("", &["image", "bogus"]),
    ];
    assert_snapshot!("refused_flags", refused(&rows, |_, _| {}));
}

#[test]
fn stack_files() {
    let head = "provider: {name: openfaas}\nfunctions:\n";
    let function = |text: &str| format!("{head}  fn:\n    image: i\n    {text}\n");
    let deep = format!("a: {}{}", "[".repeat(20_000), "]".repeat(20_000));
    let files: Vec<String> = [
        "",
        "just text",
        "- a\n- b\n",
        "functions: {}\n",
        "provider: {name: faas}\nfunctions: {}\n",
        "provider: {gateway: x}\n",
        "version: 2.0\nprovider: {name: openfaas}\n",
        "provider: {name: openfaas}\n",
        "provider: {name: openfaas, gateway: 'http://'}\nfunctions: {fn: {image: i}}\n",
        "provider: {name: openfaas}\nprovider: {name: openfaas}\n",
        "provider: [\n",
        "provider: {name: openfaas}\nfunctions: [a]\n",
        "a: &a [*a]\n",
        "provider: {name: openfaas}\nfunctions: *nobody\n",
        "provider: {name: openfaas}\n---\nprovider: {name: openfaas}\n",
        "# a stray ${ in a comment\n",
        "a: ${V-d}\n",
    ]
    .into_iter()
    .map(str::to_owned)
    .chain([
        format!("{head}  fn:\n    image: i\n  fn:\n    image: j\n"),
        format!("{head}  Bad_Name:\n    image: i\n"),
        format!("{head}  fn:\n"),
        format!("{head}  fn:\n    image: ''\n"),
        format!("{head}  fn:\n    image: [i]\n"),
        format!("{head}  fn:\n    image: A:B:C\n"),
        function("namespace: Dev"),
        function("environment: [A=b]"),
        function("environment: {A: {B: c}}"),
        function("environment: {A=B: c}"),
        function("environment_file: [missing.yml]"),
        function("environment_file: [stack.yaml.d]"),
        function("skip_build: perhaps"),
        function("limits: {memory: lots}"),
        function("limits: 128Mi"),
        function("secrets: ['../x']"),
        function("labels: {'a b': c}"),
        function("readonly_root_filesystem: 7"),
    ])
    .collect();
    let mut rows: Vec<(&str, &[&str])> = files.iter().map(|file| (file.as_str(), &["deploy"][..])).collect();
    let good = function("lang: python3-http");
    rows.push((&good, &["build"]));
    rows.push((&good, &["deploy", "--filter", "nothing*"]));
    rows.push((&good, &["deploy", "--regex", "("]));
    rows.push((&good, &["deploy", "--name", "fn"]));
    rows.push((&good, &["remove", "-f", "stack.yaml", "--regex", "^x"]));
    let table = refused(&rows, |place, input| {
        place.file("stack.yaml", input);
    });
    assert_snapshot!("refused_stacks", table);

    let place = Place::new();
    place
        .file("stack.yaml", &deep)
        .file("large.yaml", " ".repeat(1024 * 1024 + 1))
        .file("bytes.yaml", [0xff, 0xfe, 0xfd]);
    for (file, want) in [
        ("stack.yaml", None),
        ("large.yaml", Some("minke: failed to read large.yaml: it is larger than 1048576 bytes\n")),
        ("bytes.yaml", Some("minke: failed to read bytes.yaml: it is not UTF-8 text\n")),
        (".", Some("minke: failed to read .: it is a folder\n")),
    ] {
        let outcome = place.run(&["deploy", "-f", file]);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(64), ""), "{file} {outcome:?}");
        assert!(want.is_none_or(|want| outcome.stderr == want), "{file} {outcome:?}");
    }
}

#[test]
fn login_files() {
    let own = |text: &str| format!("auths:\n- gateway: GATEWAY\n  {text}\n");
    let files = [
        "[".to_owned(),
        "auths: text".to_owned(),
        "auths:\n- auth: basic\n".to_owned(),
        own("auth: magic"),
        own("auth: basic\n  token: '***'"),
        own("auth: basic\n  token: bm9jb2xvbg=="),
        own("auth: oauth2"),
        own("auth: oauth2\n  token: \"a\\nb\""),
    ];
    let gateway = Recorder::answering(&[]);
    let mut table = String::new();
    for file in files {
        let place = Place::new().with("OPENFAAS_URL", gateway.url());
        place.file(".openfaas/config.yml", file.replace("GATEWAY", &gateway.url()));
        let outcome = place.run(&["list"]);
        writeln!(table, "{file:?}\n{}", outcome.show(&gateway.url())).expect("a string takes it");
    }
    assert_snapshot!("refused_logins", table);
    assert_eq!(gateway.lines(), Vec::<String>::new());
}

#[test]
fn unknown_keys_are_told_with_their_line() {
    let gateway = Recorder::answering(&[(202, "")]);
    let place = Place::new().with("OPENFAAS_URL", gateway.url());
    place.file(
        "stack.yaml",
        "provider: {name: openfaas}\nfunctions:\n  fn:\n    image: i\n    enviroment: {A: b}\n",
    );
    let outcome = place.run(&["deploy"]);
    assert_eq!(outcome.code, Some(0));
    assert_eq!(
        outcome.stderr,
        "minke: warning: stack.yaml, line 5: unknown key functions.fn.enviroment is ignored; did you mean environment?\n"
    );
}
