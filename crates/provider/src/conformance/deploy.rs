//! Create: what was asked for is there, once, or nothing is.

use crate::ProviderError;

use super::Subject;

super::suite![
    every_field_comes_back,
    a_second_create_is_refused_and_changes_nothing,
    the_min_label_is_the_first_replica_count,
    an_unknown_namespace_is_invalid,
    a_missing_image_is_invalid_and_leaves_nothing,
];

async fn every_field_comes_back(subject: Subject) {
    let mut spec = subject.spec("conf-fields");
    spec.env_process = Some("cat -u".into());
    spec.env = [("KEY", "value"), ("EMPTY", ""), ("UNICODE", "käse=\"x\"\n")]
        .map(|(k, v)| (k.into(), v.into()))
        .into();
    spec.constraints = vec!["node=a".into()];
    spec.labels = [("team".to_owned(), "a b".to_owned())].into();
    spec.annotations = [("topic".to_owned(), "x,y".to_owned())].into();
    spec.limits.memory = Some("128Mi".parse().expect("quantity"));
    spec.limits.cpu = Some("500m".parse().expect("quantity"));
    spec.requests.memory = Some("1Mi".parse().expect("quantity"));
    spec.read_only_root = true;
    subject.provider.deploy(spec.clone()).await.expect("deploy");
    let status = subject.provider.get(&spec.id).await.expect("get");
    assert_eq!(status.spec, spec);
    assert_eq!(status.replicas, 1);
    assert!(status.created_at.as_second() > 1_600_000_000, "created at {}", status.created_at);
    subject.remove(&spec.id).await;
}

async fn a_second_create_is_refused_and_changes_nothing(subject: Subject) {
    let id = subject.deployed(subject.spec("conf-twice")).await;
    let mut again = subject.spec("conf-twice");
    again.env.insert("SECOND".into(), "1".into());
    let error = subject.provider.deploy(again).await.expect_err("a second create");
    assert!(matches!(error, ProviderError::AlreadyExists { .. }), "{error:?}");
    let status = subject.provider.get(&id).await.expect("get");
    assert_eq!(status.spec, subject.spec("conf-twice"));
    subject.remove(&id).await;
}

async fn the_min_label_is_the_first_replica_count(subject: Subject) {
    let mut spec = subject.spec("conf-min");
    spec.labels.insert(model::scale::LABEL_MIN.into(), "2".into());
    let id = subject.deployed(spec).await;
    let status = subject.until(&id, "two replicas take calls", |status| status.available == 2).await;
    assert_eq!(status.replicas, 2);
    subject.remove(&id).await;
}

async fn an_unknown_namespace_is_invalid(subject: Subject) {
    let mut spec = subject.spec("conf-lost");
    spec.id.namespace = model::Namespace::parse("no-such-namespace").expect("namespace");
    let error = subject.provider.deploy(spec).await.expect_err("a foreign namespace");
    assert!(matches!(error, ProviderError::Invalid(_)), "{error:?}");
}

async fn a_missing_image_is_invalid_and_leaves_nothing(subject: Subject) {
    let Some(image) = subject.missing_image.clone() else { return };
    let spec = model::FunctionSpec::new(subject.id("conf-no-image"), image);
    let error = subject.provider.deploy(spec.clone()).await.expect_err("no such image");
    assert!(matches!(error, ProviderError::Invalid(_)), "{error:?}");
    let error = subject.provider.get(&spec.id).await.expect_err("nothing was made");
    assert!(matches!(error, ProviderError::NotFound { .. }), "{error:?}");
}
