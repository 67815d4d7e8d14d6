//! What every provider promises.

use std::sync::Arc;
use std::time::Duration;

use model::Namespace;
use provider::conformance::{Subject, checks};

use crate::harness::Test;
use crate::platform::{Direct, Platform};
use crate::support::block_on;

pub const TESTS: &[Test] = &[("conformance::every_check", every_check)];

fn every_check() {
    block_on(async {
        let platform = Platform::new().await;
        let subject = Subject {
            provider: Arc::new(platform.oci.clone()),
            invoke: Arc::new(Direct(platform.oci.clone())),
            namespace: Namespace::default(),
            image: "test/echo".parse().unwrap(),
            // Nothing listens there.
            missing_image: Some("127.0.0.1:1/no/such:image".parse().unwrap()),
            patience: Duration::from_secs(30),
        };
        for check in checks() {
            println!("     {}", check.name);
            (check.run)(subject.clone()).await;
        }
        drop(subject);
        platform.oci.shutdown().await;
    });
}
