//! gRPC through the platform: its own interoperability suite, as the server in a container and as the client, in Go
//! (`tests/grpc`). `make test` builds it, and leaves this out, by name, where it is not to be had.

use std::path::PathBuf;
use std::process::Command;

use model::{FunctionSpec, ImageRef};
use provider::Provider;

use crate::platform::{Platform, data_dir, id, minke, ok, root, until_available};

#[tokio::test(flavor = "multi_thread")]
async fn interoperability() {
    let probe = root().join(".tools/bin/grpcprobe");
    assert!(probe.exists(), "grpcprobe is not built; `make test` does it");
    let dir = data_dir();
    let image = image(dir.path(), &probe);
    let platform = Platform::start(dir.path());
    let client = platform.client();
    let mut spec = FunctionSpec::new(id("interop"), image);
    spec.annotations.insert("minke/protocol".into(), "h2c".into());
    client.deploy(spec).await.unwrap();
    until_available(&client, &id("interop"), 1).await;

    let mut command = Command::new(&probe);
    command.args(["-call", &platform.address, "-path", "/function/interop"]);
    let told = tokio::task::spawn_blocking(move || ok(command.output().unwrap())).await.unwrap();
    assert_eq!(told.lines().filter(|line| line.starts_with("ok ")).count(), 13, "{told}");

    // From zero: the first call waits until the server has told its settings.
    client.scale(&id("interop"), 0).await.unwrap();
    until_available(&client, &id("interop"), 0).await;
    let mut command = Command::new(&probe);
    command.args(["-call", &platform.address, "-path", "/function/interop"]);
    tokio::task::spawn_blocking(move || ok(command.output().unwrap())).await.unwrap();
    assert!(platform.terminate().success());
}

/// The server alone in an image, built as a user would.
fn image(data_dir: &std::path::Path, probe: &PathBuf) -> ImageRef {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(probe, folder.path().join("grpcprobe")).unwrap();
    let dockerfile =
        "FROM scratch\nCOPY grpcprobe /grpcprobe\nUSER 1000\nCMD [\"/grpcprobe\", \"-serve\", \":8080\"]\n";
    std::fs::write(folder.path().join("Dockerfile"), dockerfile).unwrap();
    let stack = "version: 1.0\nprovider:\n  name: openfaas\nfunctions:\n  interop:\n    lang: dockerfile\n    \
                 handler: .\n    image: minke/interop:latest\n";
    std::fs::write(folder.path().join("stack.yaml"), stack).unwrap();
    ok(minke(data_dir, &["build", "-f", "stack.yaml"]).current_dir(folder.path()).output().unwrap());
    ImageRef::parse("minke/interop:latest").unwrap()
}
