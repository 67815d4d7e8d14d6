//! What a new user sees: one command, a function that answers, and nothing left when it ends.

use crate::leaks::Leaks;
use crate::platform::{Platform, curl, data_dir};

#[test]
fn up_with_the_demo_answers_from_inside_a_container() {
    let dir = data_dir();
    let before = Leaks::count(dir.path());
    let platform = Platform::start_with(dir.path(), &["--demo"]);
    let url = format!("{}/function/hello", platform.url());
    assert!(curl(&[&url]).contains("Hello"));
    let inside = curl(&[&format!("{url}/proc")]);
    for namespace in ["pid", "mnt", "net"] {
        let host = std::fs::read_link(format!("/proc/self/ns/{namespace}")).unwrap();
        let host = host.to_str().unwrap();
        assert!(inside.contains(&format!("{namespace}:[")), "{namespace} is not told in {inside:?}");
        assert!(!inside.contains(host), "the function shares {host} with the host: {inside}");
    }
    let metrics = curl(&[&platform.metrics_url()]);
    let counted = "gateway_function_invocation_total{function_name=\"hello.openfaas-fn\",code=\"200\"} 2";
    assert!(metrics.lines().any(|line| line == counted), "{metrics}");
    assert!(platform.stop().success());
    assert_eq!(Leaks::count(dir.path()), before, "Ctrl-C leaves nothing behind");

    // The next start finds the function again, and its image.
    let platform = Platform::start(dir.path());
    let url = format!("{}/function/hello", platform.url());
    assert!(curl(&[&url]).contains("Hello"));
    assert!(platform.stop().success());
}
