//! List and get: what is there is told the same way by both.

use crate::ProviderError;

use super::Subject;

super::suite![a_list_holds_what_get_tells, a_missing_function_is_not_found, namespaces_hold_the_default];

async fn a_list_holds_what_get_tells(subject: Subject) {
    let b = subject.deployed(subject.spec("conf-list-b")).await;
    let a = subject.deployed(subject.spec("conf-list-a")).await;
    let list = subject.provider.list(&subject.namespace).await.expect("list");
    let ours: Vec<_> =
        list.into_iter().filter(|s| s.spec.id.name.as_str().starts_with("conf-list-")).collect();
    let ids: Vec<_> = ours.iter().map(|status| status.spec.id.clone()).collect();
    assert_eq!(ids, [a.clone(), b.clone()], "by name");
    for status in ours {
        let mut got = subject.provider.get(&status.spec.id).await.expect("get");
        // Only a list is asked for call counts.
        got.invocations = status.invocations;
        assert_eq!(status, got);
    }
    subject.remove(&a).await;
    subject.remove(&b).await;
}

async fn a_missing_function_is_not_found(subject: Subject) {
    let error = subject.provider.get(&subject.id("conf-nobody")).await.expect_err("nobody is there");
    assert!(matches!(error, ProviderError::NotFound { .. }), "{error:?}");
}

async fn namespaces_hold_the_default(subject: Subject) {
    let namespaces = subject.provider.namespaces().await.expect("namespaces");
    assert!(namespaces.contains(&subject.namespace), "{namespaces:?}");
    subject.provider.health().await.expect("health");
    let info = subject.provider.info().await.expect("info");
    for part in [&info.name, &info.orchestration, &info.version.release, &info.version.sha] {
        assert!(!part.is_empty(), "{info:?}");
    }
}
