//! A real registry on loopback: an image is pulled once, and its layers are not transferred again.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use model::{FunctionSpec, ImageRef};
use provider::{Body, Provider};

use crate::platform::{
    PATIENCE, Platform, build_sample, call, curl, data_dir, id, minke, ok, until_available,
};

struct Registry {
    address: String,
    log: std::path::PathBuf,
    child: Child,
}

impl Registry {
    fn start(folder: &Path) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let config = folder.join("registry.yml");
        let text = format!(
            "version: 0.1\nlog: {{accesslog: {{disabled: false}}, level: info}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: {address}}}\n",
            folder.join("registry").display()
        );
        fs::write(&config, text).unwrap();
        let log = folder.join("registry.log");
        let file = fs::File::create(&log).unwrap();
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdout(file.try_clone().unwrap())
            .stderr(Stdio::from(file))
            .spawn()
            .expect("docker-registry is installed; `make test` does it");
        let deadline = Instant::now() + PATIENCE;
        while std::net::TcpStream::connect(&address).is_err() {
            assert!(Instant::now() < deadline, "the registry did not come up");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { address, log, child }
    }

    /// How many blobs clients have fetched.
    fn blob_reads(&self) -> usize {
        let log = fs::read_to_string(&self.log).unwrap();
        log.lines().filter(|line| line.contains("\"GET /v2/") && line.contains("/blobs/sha256:")).count()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_pulled_once() {
    let dir = data_dir();
    let elsewhere = data_dir();
    let registry = Registry::start(elsewhere.path());
    build_sample(elsewhere.path(), "hello");
    let name = format!("{}/team/hello:1", registry.address);
    push(elsewhere.path(), "minke/hello:latest", &name);

    let platform = Platform::start(dir.path());
    let client = platform.client();
    let image = ImageRef::parse(&name).unwrap();
    client.deploy(FunctionSpec::new(id("pulled"), image.clone())).await.unwrap();
    until_available(&client, &id("pulled"), 1).await;
    let response = call(&client, &id("pulled"), "/", Body::Full("x".into())).await;
    assert_eq!(response.status(), 200, "{}", response.body());
    let reads = registry.blob_reads();
    assert!(reads >= 2, "a configuration and a layer were fetched: {reads}");

    client.deploy(FunctionSpec::new(id("again"), image)).await.unwrap();
    until_available(&client, &id("again"), 1).await;
    assert_eq!(registry.blob_reads(), reads, "the second deploy transfers nothing");
    assert!(ok(minke(dir.path(), &["image", "list"]).output().unwrap()).contains("team/hello"));
    assert!(curl(&[&format!("{}/function/again", platform.url())]).contains("Hello"));
    assert!(platform.stop().success());
}

/// Out of one store and into the registry, as an OCI layout, with a tool that is not ours.
fn push(data_dir: &Path, from: &str, to: &str) {
    let names = fs::read_dir(data_dir.join("images/refs")).unwrap().flatten();
    let names = names
        .map(|name| serde_json::from_slice::<serde_json::Value>(&fs::read(name.path()).unwrap()).unwrap());
    let name = names.into_iter().find(|name| name["reference"].as_str().unwrap().ends_with(from)).unwrap();
    let digest = &name["digest"];
    let layout = data_dir.join("layout");
    let blobs = layout.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    for blob in fs::read_dir(data_dir.join("images/blobs/sha256")).unwrap().flatten() {
        fs::copy(blob.path(), blobs.join(blob.file_name())).unwrap();
    }
    let manifest = blobs.join(digest.as_str().unwrap().trim_start_matches("sha256:"));
    let index = serde_json::json!({"schemaVersion": 2, "manifests": [{
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": digest,
        "size": fs::metadata(manifest).unwrap().len(),
    }]});
    fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    fs::write(layout.join("index.json"), index.to_string()).unwrap();
    let copy = Command::new("skopeo")
        .args(["copy", "--insecure-policy", "--dest-tls-verify=false", &format!("oci:{}", layout.display())])
        .arg(format!("docker://{to}"))
        .output()
        .expect("skopeo is installed; `make test` does it");
    ok(copy);
}
