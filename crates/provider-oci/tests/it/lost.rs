//! Images that are lost, come back, or are needed by nobody any more.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use image::{Image, ImageRef, PullOptions, Store};
use model::{FunctionId, Namespace};
use provider::Provider;
use provider_oci::{Config, Oci, StoreImages};

use crate::harness::Test;
use crate::platform::{Platform, config, spec, store};
use crate::support::{block_on, until};

pub const TESTS: &[Test] = &[
    ("lost::a_function_without_its_image_exists", a_function_without_its_image_exists),
    ("lost::an_image_that_comes_back_is_run", an_image_that_comes_back_is_run),
    ("lost::an_image_is_kept_as_long_as_a_replica_runs", an_image_is_kept_as_long_as_a_replica_runs),
    ("lost::a_start_removes_what_nobody_needs", a_start_removes_what_nobody_needs),
];

/// A platform with a store of its own.
struct Own {
    platform: Platform,
    images: tempfile::TempDir,
    store: Store,
}

impl Own {
    async fn new() -> Own {
        let images = tempfile::tempdir().unwrap();
        // An import takes long.
        let copied = Command::new("cp").arg("-a").arg(store().dir().join(".")).arg(images.path()).status();
        assert!(copied.unwrap().success());
        let store = Store::open(images.path()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let oci = connect(folder.path(), &store).await;
        Own { platform: Platform { folder, oci }, images, store }
    }

    /// Starts again after `meanwhile`.
    async fn again(self, meanwhile: impl FnOnce(&Store)) -> Own {
        let Own { platform: Platform { folder, oci }, images, store } = self;
        oci.shutdown().await;
        drop(oci);
        meanwhile(&store);
        let oci = connect(folder.path(), &store).await;
        Own { platform: Platform { folder, oci }, images, store }
    }

    fn manifest(&self, image: &Image) -> PathBuf {
        self.images.path().join("manifests").join(image.digest.hex())
    }
}

async fn connect(folder: &Path, store: &Store) -> Oci {
    let images = StoreImages { store: store.clone(), pull: PullOptions::default() };
    let config: Config = config(folder);
    Oci::connect(config, Arc::new(images)).await.unwrap()
}

fn resolve(store: &Store, name: &str) -> Image {
    store.resolve(&name.parse().unwrap()).unwrap().unwrap()
}

fn remove(store: &Store, name: &str) {
    store.remove(&name.parse::<ImageRef>().unwrap(), &|_| false).unwrap();
}

fn id(name: &str) -> FunctionId {
    FunctionId::parse(name, &Namespace::default()).unwrap()
}

fn a_function_without_its_image_exists() {
    block_on(async {
        let own = Own::new().await;
        // Whoever asks it waits: it accepts and says nothing.
        let registry = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let name = format!("{}/lost:1", registry.local_addr().unwrap());
        own.store.tag(&resolve(&own.store, "test/broken"), &name.parse().unwrap()).unwrap();
        own.platform.oci.deploy(spec("lost", &name)).await.unwrap();
        own.platform.oci.deploy(spec("gone", &name)).await.unwrap();
        let other = own.platform.deployed(spec("other", "test/echo")).await;

        let begun = Instant::now();
        let forget = |store: &Store| ["test/broken", &name].iter().for_each(|name| remove(store, name));
        let own = own.again(forget).await;
        assert!(begun.elapsed() < Duration::from_secs(10), "no registry is waited for");
        let oci = &own.platform.oci;
        own.platform.until(&other, |status| status.available == 1).await;
        assert_eq!(oci.list(&Namespace::default()).await.unwrap().len(), 3);
        let lost = oci.get(&id("lost")).await.unwrap();
        assert_eq!((lost.replicas, lost.available, lost.spec), (1, 0, spec("lost", &name)));
        oci.scale(&id("lost"), 2).await.unwrap();
        assert_eq!(oci.get(&id("lost")).await.unwrap().replicas, 2);
        oci.delete(&id("gone")).await.unwrap();
        assert!(oci.get(&id("gone")).await.is_err());
        oci.update(spec("lost", "test/echo")).await.unwrap();
        own.platform.until(&id("lost"), |status| status.available == 2).await;
        assert_eq!(own.platform.call(&id("lost")).await.unwrap().status(), 200);
        oci.shutdown().await;
    });
}

fn an_image_that_comes_back_is_run() {
    block_on(async {
        let own = Own::new().await;
        let name = "127.0.0.1:1/back:1";
        own.store.tag(&resolve(&own.store, "test/broken"), &name.parse().unwrap()).unwrap();
        own.platform.oci.deploy(spec("back", name)).await.unwrap();
        let back = id("back");
        let own = own.again(|store| ["test/broken", name].iter().for_each(|name| remove(store, name))).await;
        assert_eq!(own.platform.oci.get(&back).await.unwrap().available, 0);

        // Under another digest than the one that was accepted.
        own.store.tag(&resolve(&own.store, "test/echo"), &name.parse().unwrap()).unwrap();
        own.platform.until(&back, |status| status.available == 1).await;
        assert_eq!(own.platform.call(&back).await.unwrap().status(), 200);
        // What was found is what the next start looks for.
        let own = own.again(|_| ()).await;
        own.platform.until(&back, |status| status.available == 1).await;
        own.platform.oci.shutdown().await;
    });
}

fn an_image_is_kept_as_long_as_a_replica_runs() {
    block_on(async {
        let own = Own::new().await;
        let old = own.platform.deployed(spec("old", "test/echo")).await;
        let manifest = own.manifest(&resolve(&own.store, "test/echo"));
        own.platform.oci.update(spec("old", "test/broken")).await.unwrap();
        remove(&own.store, "test/echo");
        // The new replica never comes up, and the old one serves.
        assert!(manifest.exists());
        assert_eq!(own.platform.call(&old).await.unwrap().status(), 200);
        own.platform.oci.delete(&old).await.unwrap();
        until("the image is removed", || !manifest.exists());
        own.platform.oci.shutdown().await;
    });
}

fn a_start_removes_what_nobody_needs() {
    block_on(async {
        let own = Own::new().await;
        let kept = own.platform.deployed(spec("kept", "test/echo")).await;
        let unnamed = own.manifest(&resolve(&own.store, "test/echo"));
        let garbage = own.images.path().join("blobs/sha256").join("0".repeat(64));
        let own = own
            .again(|store| {
                std::fs::write(&garbage, "half").unwrap();
                // As a pull of a moved tag leaves it: without a name, and wished for.
                let name = std::fs::read_dir(store.dir().join("refs")).unwrap().flatten();
                name.for_each(|name| std::fs::remove_file(name.path()).unwrap());
            })
            .await;
        until("the garbage is removed", || !garbage.exists());
        assert!(unnamed.exists());
        own.platform.until(&kept, |status| status.available == 1).await;
        own.platform.oci.shutdown().await;
    });
}
