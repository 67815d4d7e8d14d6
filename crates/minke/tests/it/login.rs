//! The login file: what is written, where, and who can read it.

use insta::assert_snapshot;

use crate::support::{Place, Recorder, mode};

#[test]
fn login_checks_and_keeps_then_logout_forgets() {
    let gateway = Recorder::answering(&[(200, "[]")]);
    let place = Place::new();
    let outcome = place.run_with(&["login", "-g", &gateway.url(), "--password-stdin"], b"  s3cret\n");
    assert_snapshot!("login", outcome.show(&gateway.url()));
    assert_eq!(gateway.lines(), ["GET /system/functions"]);
    assert_eq!(gateway.asked()[0].header("authorization"), Some("Basic YWRtaW46czNjcmV0"));
    let want =
        format!("auths:\n  - gateway: {}\n    auth: basic\n    token: YWRtaW46czNjcmV0\n", gateway.url());
    assert_eq!(place.read(".openfaas/config.yml"), want);
    assert_eq!(mode(&place.path(".openfaas")), 0o700);
    assert_eq!(mode(&place.path(".openfaas/config.yml")), 0o600);
    let left = std::fs::read_dir(place.path(".openfaas")).expect("a folder").count();
    assert_eq!(left, 1, "no temporary file stays");

    assert_snapshot!("logout", place.run(&["logout", "-g", &gateway.url()]).show(&gateway.url()));
    assert_eq!(place.read(".openfaas/config.yml"), "auths: []\n");
    assert_snapshot!("logout_again", place.run(&["logout", "-g", &gateway.url()]).show(&gateway.url()));
}

#[test]
fn a_wrong_password_is_not_kept_and_never_shown() {
    let gateway = Recorder::answering(&[(401, "")]);
    let place = Place::new();
    let outcome = place.run(&["login", "-g", &gateway.url(), "-p", "hunter2"]);
    assert_snapshot!("login_refused", outcome.show(&gateway.url()));
    assert!(!place.path(".openfaas").exists());
    assert!(!outcome.show("").contains("hunter2"));
}

#[test]
fn the_folder_follows_the_environment() {
    let gateway = Recorder::answering(&[(200, "[]"), (200, "[]")]);
    let place = Place::new().with("CI", "true");
    place.run_with(&["login", "-g", &gateway.url(), "-s"], b"pw");
    assert_eq!(mode(&place.path(".openfaas")), 0o744);
    let place = Place::new().with("CI", "true").with("OPENFAAS_CONFIG", "elsewhere");
    place.run_with(&["login", "-g", &gateway.url(), "-s"], b"pw");
    assert!(place.path("elsewhere/config.yml").exists() && !place.path(".openfaas").exists());
}

#[test]
fn other_logins_and_their_options_stay() {
    let gateway = Recorder::answering(&[(200, "[]")]);
    let place = Place::new();
    let other = "auths:\n  - gateway: https://gw\n    auth: oauth2\n    token: abc\n    options:\n      - name: client_id\n        value: v\n";
    place.file(".openfaas/config.yml", other);
    place.run_with(&["login", "-g", &gateway.url(), "-s", "-u", "me"], b"pw");
    let want = format!("{other}  - gateway: {}\n    auth: basic\n    token: bWU6cHc=\n", gateway.url());
    assert_eq!(place.read(".openfaas/config.yml"), want);
}
