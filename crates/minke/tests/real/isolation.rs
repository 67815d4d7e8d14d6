//! What a function is given and what it is kept from.

use provider::{Body, Provider};

use crate::platform::{Platform, build_sample, call, data_dir, id, until_available};

#[tokio::test(flavor = "multi_thread")]
async fn a_function_sees_its_own_world_only() {
    let dir = data_dir();
    let image = build_sample(dir.path(), "env");
    let platform = Platform::start(dir.path());
    let client = platform.client();
    let mut spec = model::FunctionSpec::new(id("env"), image);
    spec.env.insert("GREETING".into(), "käse = good".into());
    client.deploy(spec).await.unwrap();
    until_available(&client, &id("env"), 1).await;
    let response = call(&client, &id("env"), "/some/path?x=1&y=%20", Body::Full("abc".into())).await;
    assert_eq!(response.status(), 200);
    let body = response.body();
    for line in ["GREETING=käse = good", "Http_Method=POST", "Http_Path=/some/path", "Http_Query=x=1&y=%20"]
    {
        assert!(body.lines().any(|l| l == line), "{line} is not in\n{body}");
    }
    for leaked in ["MINKE_", "OPENFAAS_URL", "CARGO_"] {
        assert!(!body.contains(leaked), "{leaked} leaked from the platform's environment:\n{body}");
    }
    assert!(platform.stop().success());
}
