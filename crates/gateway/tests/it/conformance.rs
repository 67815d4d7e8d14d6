//! The conformance suite through everything: `Remote` → gateway → `Memory`.

use std::sync::Arc;
use std::time::Duration;

use gateway::{Config, Credentials};
use model::{ImageRef, Namespace};
use provider::conformance::{Subject, checks};
use provider::{Credentials as RemoteCredentials, Memory, Remote, RemoteConfig};

use crate::support::Served;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_keeps_every_promise_behind_the_api() {
    let credentials = Credentials { user: "admin".into(), password: "secret".into() };
    let config = Config { auth: Some(credentials), ..Config::default() };
    let served = Served::start(Arc::new(Memory::new(Namespace::default())), config).await;
    let mut remote = RemoteConfig::new(format!("http://{}/", served.api));
    remote.credentials = Some(RemoteCredentials::Basic { user: "admin".into(), password: "secret".into() });
    let remote = Arc::new(Remote::new(remote).expect("an address"));
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
    served.stop().await;
}
