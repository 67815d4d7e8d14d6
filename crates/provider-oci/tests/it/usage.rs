//! What replicas use, by the kernel's own accounts.

use std::time::{Duration, Instant};

use provider::{Provider, ProviderError};

use crate::harness::Test;
use crate::platform::{Platform, spec};
use crate::support::block_on;

pub const TESTS: &[Test] = &[("usage::a_busy_function_uses_its_limit", a_busy_function_uses_its_limit)];

fn a_busy_function_uses_its_limit() {
    block_on(async {
        let platform = Platform::new().await;
        let mut busy = spec("busy", "test/busy");
        busy.limits.cpu = Some("200m".parse().unwrap());
        busy.labels.insert(model::scale::LABEL_MIN.into(), "2".into());
        let busy = platform.deployed(busy).await;
        platform.until(&busy, |status| status.available == 2).await;
        let idle = platform.deployed(spec("idle", "test/echo")).await;
        let begun = Instant::now();
        platform.oci.usage(&busy).await.unwrap();
        assert!(begun.elapsed() >= Duration::from_millis(100), "the first look takes two");
        tokio::time::sleep(Duration::from_secs(1)).await;
        let begun = Instant::now();
        let usage = platform.oci.usage(&busy).await.unwrap();
        println!("two busy replicas of 200m each use {usage:?}; told within {:?}", begun.elapsed());
        assert!((250.0..550.0).contains(&usage.cpu_milli), "{usage:?}");
        assert!(begun.elapsed() < Duration::from_millis(100), "a later look waits for nothing");
        let of_idle = platform.oci.usage(&idle).await.unwrap();
        assert!(of_idle.cpu_milli < 100.0, "{of_idle:?}");
        for usage in [usage, of_idle] {
            assert!((100e3..200e6).contains(&usage.memory_bytes), "{usage:?}");
        }
        // Looks at once do not disturb each other.
        let both = tokio::join!(platform.oci.usage(&busy), platform.oci.usage(&busy));
        assert_eq!(both.0.unwrap().cpu_milli, both.1.unwrap().cpu_milli);
        platform.oci.delete(&idle).await.unwrap();
        assert!(matches!(platform.oci.usage(&idle).await, Err(ProviderError::NotFound { .. })));
        platform.oci.shutdown().await;
    });
}
