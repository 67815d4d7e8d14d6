//! Update: a new spec for a function that is there, with its count of replicas.

use std::time::Duration;

use http::Request;

use crate::{Body, ProviderError};

use super::Subject;

super::suite![
    a_missing_function_is_not_found,
    the_new_spec_takes_over_and_the_count_stays,
    the_min_label_resets_the_count,
    a_failed_update_keeps_the_old_one_serving,
];

async fn a_missing_function_is_not_found(subject: Subject) {
    let error = subject.provider.update(subject.spec("conf-nobody")).await.expect_err("nothing to update");
    assert!(matches!(error, ProviderError::NotFound { .. }), "{error:?}");
}

async fn the_new_spec_takes_over_and_the_count_stays(subject: Subject) {
    let id = subject.deployed(subject.spec("conf-update")).await;
    let created_at = subject.provider.get(&id).await.expect("get").created_at;
    subject.provider.scale(&id, 2).await.expect("scale");
    subject.until(&id, "two replicas take calls", |status| status.available == 2).await;
    let mut spec = subject.spec("conf-update");
    spec.env.insert("VERSION".into(), "2".into());
    spec.labels.insert("version".into(), "2".into());
    subject.provider.update(spec.clone()).await.expect("update");
    let status = subject.until(&id, "two new replicas take calls", |status| status.available == 2).await;
    assert_eq!((status.spec, status.replicas, status.created_at), (spec, 2, created_at));
    let response = subject.call(&id, Request::new(Body::Empty)).await;
    assert_eq!(response.status(), 200);
    subject.remove(&id).await;
}

async fn the_min_label_resets_the_count(subject: Subject) {
    let id = subject.deployed(subject.spec("conf-reset")).await;
    let mut spec = subject.spec("conf-reset");
    spec.labels.insert(model::scale::LABEL_MIN.into(), "2".into());
    subject.provider.update(spec).await.expect("update");
    subject.until(&id, "both replicas take calls", |s| s.replicas == 2 && s.available == 2).await;
    subject.remove(&id).await;
}

async fn a_failed_update_keeps_the_old_one_serving(subject: Subject) {
    let Some(image) = subject.missing_image.clone() else { return };
    let id = subject.deployed(subject.spec("conf-bad-update")).await;
    let spec = model::FunctionSpec::new(id.clone(), image);
    let error = subject.provider.update(spec).await.expect_err("no such image");
    assert!(matches!(error, ProviderError::Invalid(_)), "{error:?}");
    let status = subject.provider.get(&id).await.expect("get");
    assert_eq!(status.spec, subject.spec("conf-bad-update"));
    let call = subject.call(&id, Request::new(Body::Empty));
    let response = tokio::time::timeout(Duration::from_secs(5), call).await.expect("an answer in time");
    assert_eq!(response.status(), 200);
    subject.remove(&id).await;
}
