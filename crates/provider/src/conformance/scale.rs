//! Scale: any count, zero among them, and the count that was asked for is reached.

use http::Request;
use model::scale::REPLICAS_MAX;

use crate::{Body, ProviderError};

use super::Subject;

super::suite![
    up_and_down,
    to_zero_and_back,
    a_missing_function_is_not_found,
    more_than_the_bound_is_invalid_and_changes_nothing,
];

async fn up_and_down(subject: Subject) {
    let id = subject.deployed(subject.spec("conf-scale")).await;
    for count in [3, 1, 2] {
        subject.provider.scale(&id, count).await.expect("scale");
        subject.until(&id, "the count is reached", |s| s.replicas == count && s.available == count).await;
        let response = subject.call(&id, Request::new(Body::Empty)).await;
        assert_eq!(response.status(), 200, "at {count}");
    }
    subject.remove(&id).await;
}

async fn to_zero_and_back(subject: Subject) {
    let id = subject.deployed(subject.spec("conf-zero")).await;
    subject.provider.scale(&id, 0).await.expect("scale to zero");
    subject.until(&id, "nothing is left", |status| status.replicas == 0 && status.available == 0).await;
    subject.provider.scale(&id, 1).await.expect("scale to one");
    subject.until(&id, "it is back", |status| status.available == 1).await;
    let response = subject.call(&id, Request::new(Body::Empty)).await;
    assert_eq!(response.status(), 200);
    subject.remove(&id).await;
}

async fn a_missing_function_is_not_found(subject: Subject) {
    let error = subject.provider.scale(&subject.id("conf-nobody"), 2).await.expect_err("nothing to scale");
    assert!(matches!(error, ProviderError::NotFound { .. }), "{error:?}");
}

async fn more_than_the_bound_is_invalid_and_changes_nothing(subject: Subject) {
    let id = subject.deployed(subject.spec("conf-many")).await;
    let error = subject.provider.scale(&id, REPLICAS_MAX + 1).await.expect_err("too many");
    assert!(matches!(error, ProviderError::Invalid(_)), "{error:?}");
    assert_eq!(subject.provider.get(&id).await.expect("get").replicas, 1);
    subject.remove(&id).await;
}
