//! The commands against `minke up`: one life of a function.

use crate::support::Place;

#[test]
fn a_function_from_login_to_removal() {
    let place = Place::new();
    let platform = place.platform(&[]);
    let place = place.with("OPENFAAS_URL", &platform.url);
    let ok = |args: &[&str], stdin: &[u8]| {
        let outcome = place.run_with(args, stdin);
        assert_eq!(outcome.code, Some(0), "{args:?} {outcome:?}");
        outcome.stdout
    };
    assert_eq!(place.run(&["list"]).code, Some(1));
    ok(&["login", "--password-stdin"], platform.password().as_bytes());
    assert_eq!(ok(&["list", "-q"], b""), "");
    let deploy = ["deploy", "--image", "hello", "--name", "hello", "-e", "A=", "--wait"];
    ok(&deploy, b"");
    ok(&deploy, b"");
    assert_eq!(ok(&["list", "-q"], b""), "hello\n");
    let body = "x".repeat(5 * 1024 * 1024);
    assert_eq!(ok(&["invoke", "hello", "--query", "a=b"], body.as_bytes()), body);
    ok(&["scale", "hello", "--replicas", "3"], b"");
    let described = ok(&["describe", "hello"], b"");
    assert!(described.contains("Replicas:           3\n"), "{described}");
    assert!(described.contains("Invocations:        1\n"), "{described}");
    assert!(ok(&["version"], b"").contains("orchestration: memory"));
    ok(&["remove", "hello"], b"");
    assert_eq!(place.run(&["describe", "hello"]).code, Some(1));
    assert_eq!(place.run_with(&["invoke", "hello"], b"").code, Some(1));
    ok(&["logout"], b"");
    assert_eq!(place.run(&["list"]).code, Some(1));
}

#[test]
fn without_a_password_nobody_needs_a_login() {
    let place = Place::new();
    let platform = place.platform(&["--no-auth"]);
    let outcome = place.run(&["list", "-g", &platform.url, "--json"]);
    assert_eq!((outcome.code, outcome.stdout.as_str(), outcome.stderr.as_str()), (Some(0), "[]\n", ""));
}
