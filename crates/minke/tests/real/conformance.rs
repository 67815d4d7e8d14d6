//! The conformance suite over containers, through the API: `Remote → gateway → provider-oci`.

use std::sync::Arc;

use model::{ImageRef, Namespace};
use provider::conformance::{Subject, checks};

use crate::platform::{PATIENCE, Platform, build_sample, data_dir};

#[tokio::test(flavor = "multi_thread")]
async fn containers_behind_the_api_keep_every_promise() {
    let dir = data_dir();
    let image = build_sample(dir.path(), "echo");
    let platform = Platform::start(dir.path());
    let remote = Arc::new(platform.client());
    let subject = Subject {
        provider: remote.clone(),
        invoke: remote,
        namespace: Namespace::default(),
        image,
        // A port of this host where no registry listens.
        missing_image: Some(ImageRef::parse("127.0.0.1:9/minke/nowhere:1").unwrap()),
        patience: PATIENCE,
    };
    for check in checks() {
        println!("{}", check.name);
        (check.run)(subject.clone()).await;
    }
    let left = subject.provider.list(&subject.namespace).await.unwrap();
    assert!(left.is_empty(), "the checks left {left:?}");
    assert!(platform.stop().success());
}
