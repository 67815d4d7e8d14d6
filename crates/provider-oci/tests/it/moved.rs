//! Tags that move at their registry, and updates that change nothing.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use http::{Request, Response, StatusCode};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use image::{Image, PullOptions, Store};
use model::FunctionId;
use provider::{Body, Provider};
use provider_oci::{Oci, StoreImages};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::harness::Test;
use crate::platform::{Platform, config, spec, store};
use crate::support::block_on;

pub const TESTS: &[Test] = &[
    ("moved::an_update_that_changes_nothing_does_nothing", an_update_that_changes_nothing_does_nothing),
    ("moved::a_tag_that_was_pulled_is_asked_for_again", a_tag_that_was_pulled_is_asked_for_again),
];

/// Serves whatever the tests' store holds; every tag means the same image.
struct Registry {
    address: SocketAddr,
    tag: Arc<Mutex<Image>>,
    blobs_read: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Registry {
    async fn start(image: Image) -> Registry {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tag, blobs_read) = (Arc::new(Mutex::new(image)), Arc::new(AtomicUsize::new(0)));
        let (tags, reads) = (Arc::clone(&tag), Arc::clone(&blobs_read));
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (tags, reads) = (Arc::clone(&tags), Arc::clone(&reads));
                let service = service_fn(move |request| {
                    let answer = answer(&request, &tags.lock().unwrap(), &reads);
                    async { Ok::<_, Infallible>(answer) }
                });
                connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Registry { address, tag, blobs_read, task }
    }

    fn blobs_read(&self) -> usize {
        self.blobs_read.load(Ordering::Relaxed)
    }
}

fn answer<B>(request: &Request<B>, tag: &Image, reads: &AtomicUsize) -> Response<Body> {
    let path = request.uri().path();
    let digest = match path.rsplit('/').next() {
        Some(digest) if digest.starts_with("sha256:") => digest.to_owned(),
        _ => tag.digest.to_string(),
    };
    if path == "/v2/" {
        return Response::new(Body::Empty);
    }
    reads.fetch_add(usize::from(path.contains("/blobs/")), Ordering::Relaxed);
    let blob = store().dir().join("blobs/sha256").join(digest.trim_start_matches("sha256:"));
    match std::fs::read(blob) {
        Ok(content) => Response::new(Body::Full(content.into())),
        Err(_) => {
            let mut missing = Response::new(Body::Empty);
            *missing.status_mut() = StatusCode::NOT_FOUND;
            missing
        }
    }
}

fn built(name: &str) -> Image {
    store().resolve(&name.parse().unwrap()).unwrap().unwrap()
}

fn replica(platform: &Platform, id: &FunctionId) -> String {
    platform.oci.routes().get(id).unwrap().endpoints[0].replica().to_owned()
}

fn an_update_that_changes_nothing_does_nothing() {
    block_on(async {
        let platform = Platform::new().await;
        let id = platform.deployed(spec("same", "test/echo")).await;
        let file = platform.folder.path().join("functions/openfaas-fn/same.json");
        let (before, first) = (std::fs::read(&file).unwrap(), replica(&platform, &id));
        platform.oci.update(spec("same", "test/echo")).await.unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), before);
        assert_eq!(replica(&platform, &id), first);
        // A label alone is a change.
        let mut other = spec("same", "test/echo");
        other.labels.insert("a".into(), "b".into());
        platform.oci.update(other).await.unwrap();
        platform.until(&id, |_| replica(&platform, &id) != first).await;
        platform.oci.shutdown().await;
    });
}

fn a_tag_that_was_pulled_is_asked_for_again() {
    block_on(async {
        let registry = Registry::start(built("test/broken")).await;
        let (folder, images) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let images = StoreImages { store: Store::open(images.path()).unwrap(), pull: PullOptions::default() };
        let oci = Oci::connect(config(folder.path()), Arc::new(images)).await.unwrap();
        let platform = Platform { folder, oci };
        let image = format!("{}/team/app:latest", registry.address);
        platform.oci.deploy(spec("app", &image)).await.unwrap();
        let reads = registry.blobs_read();
        assert_eq!(reads, 2, "a configuration and a layer");
        platform.oci.deploy(spec("other", &image)).await.unwrap();
        assert_eq!(registry.blobs_read(), reads, "nothing is transferred twice");

        *registry.tag.lock().unwrap() = built("test/echo");
        let id = spec("app", &image).id;
        platform.oci.update(spec("app", &image)).await.unwrap();
        platform.until(&id, |status| status.available == 1).await;
        assert_eq!(registry.blobs_read(), reads + 1, "the layer is the same");
        let first = replica(&platform, &id);
        platform.oci.update(spec("app", &image)).await.unwrap();
        assert_eq!((replica(&platform, &id), registry.blobs_read()), (first, reads + 1));

        registry.task.abort();
        let _ = registry.task.await;
        let later = platform.deployed(spec("later", &image)).await;
        assert_eq!(platform.call(&later).await.unwrap().status(), 200);
        platform.oci.shutdown().await;
    });
}
