//! What travels to the gateway: methods, paths, headers and bodies, as data.

use crate::support::{Place, Recorder};

const STACK: &str = "version: 1.0\nprovider:\n  name: openfaas\nfunctions:\n  second:\n    image: two:2\n    \
                     lang: dockerfile\n    handler: ./two\n    environment: {A: file, B: \"${B:-dflt}\"}\n    namespace: dev\n  \
                     first:\n    image: ${OWNER:-me}/one\n    labels: {l: file}\n";

#[test]
fn deploy_updates_first_and_creates_what_is_not_there() {
    let gateway = Recorder::answering(&[(404, ""), (202, "")]);
    let place = Place::new();
    let outcome = place.run(&[
        "deploy",
        "-g",
        &gateway.url(),
        "--image",
        "img",
        "--name",
        "fn",
        "-e",
        "A=b=c",
        "-e",
        "EMPTY=",
        "-l",
        "x=y",
        "--annotation",
        "n=m",
        "--constraint",
        "zone=a",
        "--secret",
        "s",
        "--fprocess",
        "cat",
        "--readonly",
        "--cpu-limit",
        "100m",
        "--memory-request",
        "64Mi",
        "--token",
        "tkn",
    ]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_eq!(gateway.lines(), ["PUT /system/functions", "POST /system/functions"]);
    for asked in gateway.asked() {
        assert_eq!(
            asked.text(),
            r#"{"service":"fn","image":"img:latest","envProcess":"cat","envVars":{"A":"b=c","EMPTY":""},"constraints":["zone=a"],"secrets":["s"],"labels":{"x":"y"},"annotations":{"n":"m"},"limits":{"cpu":"100m"},"requests":{"memory":"64Mi"},"readOnlyRootFilesystem":true}"#
        );
        assert_eq!(asked.header("content-type"), Some("application/json"));
        assert_eq!(asked.header("authorization"), Some("Bearer tkn"));
    }
}

#[test]
fn a_plain_deployment_says_no_more_than_it_must() {
    let gateway = Recorder::answering(&[(202, "")]);
    Place::new().run(&["deploy", "-g", &gateway.url(), "--image", "img:1", "--name", "fn"]);
    let asked = &gateway.asked()[0];
    assert_eq!(asked.text(), r#"{"service":"fn","image":"img:1","labels":{},"annotations":{}}"#);
    assert_eq!(asked.header("authorization"), None, "an empty bearer token is never sent");
}

#[test]
fn replace_removes_and_creates() {
    let gateway = Recorder::answering(&[(202, ""), (202, "")]);
    let flags =
        ["deploy", "-g", &gateway.url(), "--image", "i", "--name", "fn", "--replace", "--update=false"];
    assert_eq!(Place::new().run(&flags).code, Some(0));
    assert_eq!(gateway.lines(), ["DELETE /system/functions", "POST /system/functions"]);
    assert_eq!(gateway.asked()[0].text(), r#"{"functionName":"fn"}"#);
    let gateway = Recorder::answering(&[(202, "")]);
    let flags = ["deploy", "-g", &gateway.url(), "--image", "i", "--name", "fn", "--update=false"];
    assert_eq!(Place::new().run(&flags).code, Some(0));
    assert_eq!(gateway.lines(), ["POST /system/functions"]);
}

#[test]
fn a_stack_is_deployed_in_its_order_and_all_of_it_is_tried() {
    let gateway = Recorder::answering(&[(500, "no"), (202, "")]);
    let place = Place::new().with("OPENFAAS_URL", gateway.url()).with("OWNER", "you");
    let outcome = place.file("stack.yml", STACK).run(&["deploy", "-e", "A=flag", "-l", "l=flag"]);
    assert_eq!(outcome.code, Some(1));
    assert_eq!(
        outcome.stderr,
        "minke: Unexpected status: 500, message: no\nminke: Function 'second' failed to deploy with status code: 500\n"
    );
    let bodies: Vec<String> = gateway.asked().iter().map(|asked| asked.text()).collect();
    assert_eq!(
        bodies,
        [
            r#"{"service":"second","image":"two:2","namespace":"dev","envVars":{"A":"flag","B":"dflt"},"labels":{"l":"flag"},"annotations":{}}"#,
            r#"{"service":"first","image":"you/one:latest","envVars":{"A":"flag"},"labels":{"l":"flag"},"annotations":{}}"#,
        ]
    );
}

#[test]
fn explicit_flags_win_over_a_stack_file_that_lies_about() {
    let gateway = Recorder::answering(&[(202, ""), (200, "[]"), (200, "[]")]);
    let place = Place::new().with("OPENFAAS_URL", gateway.url());
    place.file("stack.yaml", STACK);
    assert_eq!(place.run(&["deploy", "--image", "i", "--name", "mine"]).code, Some(0));
    assert!(gateway.asked()[0].text().contains(r#""service":"mine""#));
    // One that is broken is no business of a list.
    place.file("stack.yaml", "provider: [");
    let outcome = place.run(&["list"]);
    assert_eq!(outcome.code, Some(0));
    assert!(outcome.stderr.contains("ignoring a broken stack file"), "{outcome:?}");
    assert_eq!(place.run(&["list", "-f", "stack.yaml"]).code, Some(64));
}

#[test]
fn the_gateway_is_the_flag_then_the_stack_file_then_the_variable() {
    let (flag, stack, variable) = (
        Recorder::answering(&[(200, "[]")]),
        Recorder::answering(&[(200, "[]")]),
        Recorder::answering(&[(200, "[]")]),
    );
    let place = Place::new().with("OPENFAAS_URL", variable.url());
    let counts = || [flag.lines().len(), stack.lines().len(), variable.lines().len()];
    place.run(&["list"]);
    assert_eq!(counts(), [0, 0, 1]);
    place.file(
        "stack.yaml",
        STACK.replace("name: openfaas", &format!("name: openfaas\n  gateway: {}", stack.url())),
    );
    place.run(&["list"]);
    assert_eq!(counts(), [0, 1, 1]);
    place.run(&["list", "--gateway", &flag.url()]);
    assert_eq!(counts(), [1, 1, 1]);
}

#[test]
fn remove_goes_through_the_stack_and_tells_every_failure() {
    let gateway = Recorder::answering(&[(404, ""), (202, "")]);
    let place = Place::new().with("OPENFAAS_URL", gateway.url());
    let outcome = place.file("s.yaml", STACK).run(&["remove", "-f", "s.yaml"]);
    assert_eq!(outcome.code, Some(1));
    assert_eq!(outcome.stdout, "Deleting: second.dev\nDeleting: first.\nRemoving old function.\n");
    assert_eq!(outcome.stderr, "minke: No existing function to remove: second\n");
    assert_eq!(gateway.asked()[0].text(), r#"{"functionName":"second","namespace":"dev"}"#);
    let gateway = Recorder::answering(&[(202, "")]);
    let place = Place::new().with("OPENFAAS_URL", gateway.url());
    assert_eq!(
        place.file("s.yaml", STACK).run(&["remove", "-f", "s.yaml", "--filter", "fir*"]).code,
        Some(0)
    );
    assert_eq!(gateway.asked()[0].text(), r#"{"functionName":"first"}"#);
}

#[test]
fn invoke_sends_what_it_is_told_and_prints_the_answer_alone() {
    let gateway = Recorder::answering(&[(200, "the answer"), (200, ""), (202, ""), (200, "x")]);
    let place = Place::new().with("OPENFAAS_URL", gateway.url());
    let outcome = place.run_with(
        &[
            "invoke",
            "fn",
            "--query",
            "b=x y",
            "--query",
            "a=1",
            "-H",
            "X-A: 1",
            "-H",
            "X-A: 2",
            "--content-type",
            "image/png",
        ],
        b"body",
    );
    assert_eq!((outcome.code, outcome.stdout.as_str(), outcome.stderr.as_str()), (Some(0), "the answer", ""));
    let asked = gateway.asked().remove(0);
    assert_eq!(asked.line, "POST /function/fn.openfaas-fn/?a=1&b=x+y");
    assert_eq!((asked.text().as_str(), asked.header("content-length")), ("body", Some("4")));
    assert_eq!(asked.header("content-type"), Some("image/png"));
    assert_eq!(asked.headers.iter().filter(|header| header.starts_with("x-a: ")).count(), 2);
    assert_eq!(asked.header("authorization"), None);

    assert_eq!(place.run(&["invoke", "fn", "-n", "dev", "-m", "get"]).code, Some(0));
    assert_eq!(gateway.asked()[1].line, "GET /function/fn.dev/");
    assert_eq!(gateway.asked()[1].header("content-type"), Some("text/plain"));

    let outcome = place.run(&["invoke", "fn", "--async"]);
    assert_eq!(gateway.asked()[2].line, "POST /async-function/fn.openfaas-fn/");
    assert_eq!(outcome.stderr, "minke: Function submitted asynchronously. Call id: call-1\n");

    // The namespace of a function that the stack file knows.
    place.file("stack.yaml", STACK);
    assert_eq!(place.run(&["invoke", "second"]).code, Some(0));
    assert_eq!(gateway.asked()[3].line, "POST /function/second.dev/");
}

#[test]
fn a_large_input_is_streamed_and_a_refusal_is_told() {
    let gateway = Recorder::answering(&[(200, "ok"), (500, "boom\n"), (404, "")]);
    let place = Place::new().with("OPENFAAS_URL", gateway.url());
    let body = vec![b'x'; 20 * 1024 * 1024];
    assert_eq!(place.run_with(&["invoke", "fn"], &body).code, Some(0));
    assert_eq!(gateway.asked()[0].body.len(), body.len());
    let outcome = place.run(&["invoke", "fn"]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(1), ""));
    assert_eq!(outcome.stderr, "minke: Server returned unexpected status code: 500 - boom\n");
    let outcome = place.run(&["invoke", "fn"]);
    assert_eq!(outcome.stderr, "minke: Server returned unexpected status code: 404 -\n");
}

#[test]
fn credentials_come_from_the_token_then_the_saved_login() {
    let gateway = Recorder::answering(&[(200, "[]"), (200, "[]"), (200, "[]"), (200, "[]"), (200, "x")]);
    let place = Place::new().with("OPENFAAS_URL", gateway.url());
    let login = |kind: &str, token: &str| {
        format!("auths:\n- gateway: {}\n  auth: {kind}\n  token: {token}\n  options: []\n", gateway.url())
    };
    place.run(&["list"]);
    place.file(".openfaas/config.yml", login("basic", "YWRtaW46cHc="));
    place.run(&["list"]);
    place.run(&["list", "--token", "tkn"]);
    place.file(".openfaas/config.yml", login("oauth2", "abc.def"));
    place.run(&["list"]);
    place.run(&["invoke", "fn"]);
    let sent: Vec<_> =
        gateway.asked().iter().map(|asked| asked.header("authorization").map(str::to_owned)).collect();
    let sent: Vec<_> = sent.iter().map(Option::as_deref).collect();
    let want = [None, Some("Basic YWRtaW46cHc="), Some("Bearer tkn"), Some("Bearer abc.def"), None];
    assert_eq!(sent, want, "a saved login is never sent to a function");
}

#[test]
fn a_namespace_is_sent_when_it_is_named() {
    let gateway = Recorder::answering(&[(200, "[]"), (200, "[]"), (202, ""), (202, "")]);
    let place = Place::new().with("OPENFAAS_URL", gateway.url());
    place.run(&["list"]);
    place.run(&["list", "-n", "openfaas-fn"]);
    place.run(&["scale", "fn", "--replicas", "2"]);
    place.run(&["scale", "fn.dev", "--replicas", "2"]);
    assert_eq!(
        gateway.lines(),
        [
            "GET /system/functions",
            "GET /system/functions?namespace=openfaas-fn",
            "POST /system/scale-function/fn",
            "POST /system/scale-function/fn?namespace=dev",
        ]
    );
    assert_eq!(gateway.asked()[2].text(), r#"{"serviceName":"fn","replicas":2}"#);
}

#[test]
fn wait_looks_until_a_replica_takes_calls() {
    let status = |available: u32| {
        format!(
            r#"{{"name":"fn","image":"i","namespace":"openfaas-fn","replicas":1,"availableReplicas":{available}}}"#
        )
    };
    let gateway = Recorder::answering(&[(202, ""), (200, &status(0)), (200, &status(1))]);
    let outcome =
        Place::new().run(&["deploy", "-g", &gateway.url(), "--image", "i", "--name", "fn", "--wait"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(outcome.stdout.ends_with("Function fn is ready\n"));
    assert_eq!(gateway.lines().len(), 3);
}
