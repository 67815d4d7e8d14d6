//! Usage: what the replicas use, where it can be known.

use crate::ProviderError;

use super::Subject;

super::suite![a_running_function_uses_memory, a_missing_function_has_none];

async fn a_running_function_uses_memory(subject: Subject) {
    let id = subject.deployed(subject.spec("conf-usage")).await;
    match subject.provider.usage(&id).await {
        // Functions without a process of their own have no use of their own.
        Err(ProviderError::Unsupported(_)) => {}
        usage => {
            let usage = usage.expect("usage");
            assert!(usage.memory_bytes > 0.0 && usage.memory_bytes.is_finite(), "{usage:?}");
            assert!(usage.cpu_milli >= 0.0 && usage.cpu_milli.is_finite(), "{usage:?}");
            subject.provider.scale(&id, 0).await.expect("scale");
            subject.until(&id, "nothing is left", |status| status.available == 0).await;
            let idle = subject.provider.usage(&id).await.expect("usage of no replica");
            assert_eq!((idle.cpu_milli, idle.memory_bytes), (0.0, 0.0));
        }
    }
    subject.remove(&id).await;
}

async fn a_missing_function_has_none(subject: Subject) {
    let error = subject.provider.usage(&subject.id("conf-nobody")).await.expect_err("nobody is there");
    assert!(matches!(error, ProviderError::NotFound { .. } | ProviderError::Unsupported(_)), "{error:?}");
}
