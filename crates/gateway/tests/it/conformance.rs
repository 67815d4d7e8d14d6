//! The conformance suite through everything: `Remote` → gateway → `Memory`.

use std::sync::Arc;
use std::time::Duration;

use gateway::{Config, Credentials};
use model::{ImageRef, Namespace};
use provider::conformance::{Subject, checks};
use provider::{Credentials as RemoteCredentials, Memory, Provider, Remote, RemoteConfig};

use crate::support::Served;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_keeps_every_promise_behind_the_api() {
    let served = serve(Arc::new(Memory::new(Namespace::default()))).await;
    keeps_every_promise(&served).await;
    served.stop().await;
}

/// A gateway in front of any OpenFaaS-compatible server, which happens to be another one of ours.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_remote_provider_keeps_every_promise_behind_the_api() {
    let behind = serve(Arc::new(Memory::new(Namespace::default()))).await;
    let between = remote(&behind);
    let watch = tokio::spawn(between.clone().watch(Duration::from_millis(50)));
    let served = serve(between).await;
    keeps_every_promise(&served).await;
    watch.abort();
    served.stop().await;
    behind.stop().await;
}

async fn keeps_every_promise(served: &Served) {
    let remote = remote(served);
    let subject = Subject {
        provider: remote.clone(),
        invoke: remote,
        namespace: Namespace::default(),
        image: ImageRef::parse("minke/echo:latest").expect("reference"),
        missing_image: None,
        patience: Duration::from_secs(5),
    };
    for check in checks() {
        println!("{}", check.name);
        (check.run)(subject.clone()).await;
    }
    let left = subject.provider.list(&subject.namespace).await.expect("list");
    assert!(left.is_empty(), "the checks left {left:?}");
}

async fn serve(provider: Arc<dyn Provider>) -> Served {
    let credentials = Credentials { user: "admin".into(), password: "secret".into() };
    Served::start(provider, Config { auth: Some(credentials), ..Config::default() }).await
}

fn remote(served: &Served) -> Arc<Remote> {
    let mut config = RemoteConfig::new(format!("http://{}/", served.api));
    config.credentials = Some(RemoteCredentials::Basic { user: "admin".into(), password: "secret".into() });
    Arc::new(Remote::new(config).expect("an address"))
}
