//! Delete: gone for get, list and calls, and the name is free again.

use crate::ProviderError;

use super::Subject;

super::suite![gone_is_gone_and_the_name_is_free, a_missing_function_is_not_found];

async fn gone_is_gone_and_the_name_is_free(subject: Subject) {
    for _ in 0..2 {
        let id = subject.deployed(subject.spec("conf-gone")).await;
        subject.remove(&id).await;
        let error = subject.provider.get(&id).await.expect_err("it is gone");
        assert!(matches!(error, ProviderError::NotFound { .. }), "{error:?}");
        let list = subject.provider.list(&subject.namespace).await.expect("list");
        assert!(list.iter().all(|status| status.spec.id != id));
    }
}

async fn a_missing_function_is_not_found(subject: Subject) {
    let error = subject.provider.delete(&subject.id("conf-nobody")).await.expect_err("nothing to delete");
    assert!(matches!(error, ProviderError::NotFound { .. }), "{error:?}");
}
