//! A real registry (Debian's docker-registry) on a loopback port of its own.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use oci_client::Reference;
use oci_client::client::{Client, ClientConfig, ClientProtocol, Config, ImageLayer};
use oci_client::manifest::{ImageIndexEntry, OciImageIndex};
use oci_client::secrets::RegistryAuth;

use crate::fixture;

pub struct Registry {
    child: Child,
    pub address: String,
    pub dir: tempfile::TempDir,
}

/// bcrypt of "secret".
const HTPASSWD: &str = "tester:$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n";

impl Registry {
    pub fn start() -> Self {
        Self::start_with("")
    }

    pub fn start_with_password() -> Self {
        Self::start_with("auth:\n  htpasswd:\n    realm: test\n    path: DIR/htpasswd\n")
    }

    fn start_with(extra: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().display().to_string();
        std::fs::write(dir.path().join("htpasswd"), HTPASSWD).unwrap();
        let config = format!(
            "version: 0.1\nstorage:\n  filesystem: {{rootdirectory: {root}/data}}\nhttp: {{addr: \"127.0.0.1:0\"}}\n{}",
            extra.replace("DIR", &root)
        );
        std::fs::write(dir.path().join("config.yml"), config).unwrap();
        let mut child = Command::new("docker-registry")
            .arg("serve")
            .arg(dir.path().join("config.yml"))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("docker-registry is needed: apt-get install docker-registry");
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| Some(line.split_once("listening on ")?.1.split('"').next()?.to_owned()))
            .expect("docker-registry says where it listens");
        // A full pipe would stop it.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Self { child, address, dir }
    }

    pub async fn push(&self, name: &str, layers: &[Vec<u8>]) -> String {
        self.push_as(name, layers, &RegistryAuth::Anonymous, fixture::config(layers)).await
    }

    /// Returns the digest of the manifest.
    pub async fn push_as(
        &self,
        name: &str,
        layers: &[Vec<u8>],
        auth: &RegistryAuth,
        config: Vec<u8>,
    ) -> String {
        let blobs: Vec<_> =
            layers.iter().map(|layer| ImageLayer::oci_v1_gzip(fixture::gzip(layer), None)).collect();
        let config = Config::oci_v1(config, None);
        let client = client();
        client.push(&self.reference(name), &blobs, config, auth, None).await.unwrap();
        client.fetch_manifest_digest(&self.reference(name), auth).await.unwrap()
    }

    pub async fn push_index(&self, name: &str, entries: Vec<ImageIndexEntry>) {
        let index = OciImageIndex {
            schema_version: 2,
            media_type: Some("application/vnd.oci.image.index.v1+json".into()),
            manifests: entries,
            artifact_type: None,
            annotations: None,
        };
        client().push_manifest_list(&self.reference(name), &RegistryAuth::Anonymous, index).await.unwrap();
    }

    pub fn blob_path(&self, digest: &str) -> PathBuf {
        let hex = digest.trim_start_matches("sha256:");
        self.dir.path().join(format!("data/docker/registry/v2/blobs/sha256/{}/{hex}/data", &hex[..2]))
    }

    fn reference(&self, name: &str) -> Reference {
        format!("{}/{name}", self.address).parse().unwrap()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn client() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::new(ClientConfig { protocol: ClientProtocol::Http, ..ClientConfig::default() })
}
