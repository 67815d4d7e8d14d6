//! Secrets: names that come back, values that do not, and functions that name them.

use model::secret::SECRET_MAX;
use model::{Namespace, SecretId, SecretName, SecretValue};

use crate::ProviderError;

use super::Subject;

super::suite![
    they_are_created_listed_replaced_and_deleted,
    a_second_create_is_refused,
    a_missing_secret_is_not_found,
    any_bytes_are_a_value,
    an_unknown_namespace_is_invalid,
    a_deployment_names_what_exists,
    what_a_function_names_stays,
];

async fn they_are_created_listed_replaced_and_deleted(subject: Subject) {
    let (a, b) = (subject.secret("conf-secret.a"), subject.secret("conf-secret.b"));
    create(&subject, &b).await;
    create(&subject, &a).await;
    assert_eq!(listed(&subject).await, ["conf-secret.a", "conf-secret.b"], "by name");
    subject.provider.update_secret(a.clone(), value("other")).await.expect("update");
    assert_eq!(listed(&subject).await, ["conf-secret.a", "conf-secret.b"]);
    subject.provider.delete_secret(&a).await.expect("delete");
    assert_eq!(listed(&subject).await, ["conf-secret.b"]);
    // The name is free again.
    create(&subject, &a).await;
    subject.provider.delete_secret(&a).await.expect("delete");
    subject.provider.delete_secret(&b).await.expect("delete");
    assert!(listed(&subject).await.is_empty());
}

async fn a_second_create_is_refused(subject: Subject) {
    let id = subject.secret("conf-secret-twice");
    create(&subject, &id).await;
    let error = subject.provider.create_secret(id.clone(), value("again")).await.expect_err("a second one");
    assert!(matches!(error, ProviderError::AlreadyExists { .. }), "{error:?}");
    assert!(!error.chain().contains("again"), "{error:?} tells the value");
    subject.provider.delete_secret(&id).await.expect("delete");
}

async fn a_missing_secret_is_not_found(subject: Subject) {
    let id = subject.secret("conf-secret-nobody");
    let error = subject.provider.update_secret(id.clone(), value("x")).await.expect_err("nothing to update");
    assert!(matches!(error, ProviderError::NotFound { .. }), "{error:?}");
    let error = subject.provider.delete_secret(&id).await.expect_err("nothing to delete");
    assert!(matches!(error, ProviderError::NotFound { .. }), "{error:?}");
    assert!(listed(&subject).await.is_empty());
}

async fn any_bytes_are_a_value(subject: Subject) {
    let id = subject.secret("conf-secret-bytes");
    create(&subject, &id).await;
    let all: Vec<u8> = (0..=255).collect();
    for bytes in [Vec::new(), all.clone(), all.repeat(SECRET_MAX / 256)] {
        let length = bytes.len();
        let value = SecretValue::new(bytes).expect("a value");
        let replaced = subject.provider.update_secret(id.clone(), value).await;
        assert!(replaced.is_ok(), "{length} bytes: {replaced:?}");
    }
    subject.provider.delete_secret(&id).await.expect("delete");
}

async fn an_unknown_namespace_is_invalid(subject: Subject) {
    let nowhere = Namespace::parse("no-such-namespace").expect("namespace");
    let error = subject.provider.secrets(&nowhere).await.expect_err("nowhere to list");
    assert!(matches!(error, ProviderError::Invalid(_)), "{error:?}");
    let id = SecretId::new(subject.secret("conf-lost").name, nowhere);
    let error = subject.provider.create_secret(id, value("x")).await.expect_err("nowhere to create");
    assert!(matches!(error, ProviderError::Invalid(_)), "{error:?}");
}

async fn a_deployment_names_what_exists(subject: Subject) {
    let mut spec = subject.spec("conf-secret-user");
    spec.secrets = ["conf-secret-absent".to_owned()].into();
    let error = subject.provider.deploy(spec.clone()).await.expect_err("no such secret");
    assert!(matches!(error, ProviderError::Invalid(_)), "{error:?}");
    let error = subject.provider.get(&spec.id).await.expect_err("nothing was made");
    assert!(matches!(error, ProviderError::NotFound { .. }), "{error:?}");

    let plain = subject.deployed(subject.spec("conf-secret-user")).await;
    let error = subject.provider.update(spec).await.expect_err("no such secret");
    assert!(matches!(error, ProviderError::Invalid(_)), "{error:?}");
    let status = subject.provider.get(&plain).await.expect("get");
    assert_eq!(status.spec, subject.spec("conf-secret-user"), "nothing was changed");
    subject.remove(&plain).await;
}

async fn what_a_function_names_stays(subject: Subject) {
    let id = subject.secret("conf-secret-kept");
    create(&subject, &id).await;
    let mut spec = subject.spec("conf-secret-holder");
    spec.secrets = [id.name.to_string()].into();
    let function = subject.deployed(spec.clone()).await;
    assert_eq!(subject.provider.get(&function).await.expect("get").spec, spec);
    let error = subject.provider.delete_secret(&id).await.expect_err("it is in use");
    assert!(matches!(error, ProviderError::Invalid(_)), "{error:?}");
    assert_eq!(listed(&subject).await, ["conf-secret-kept"]);
    subject.remove(&function).await;
    subject.provider.delete_secret(&id).await.expect("delete");
}

async fn create(subject: &Subject, id: &SecretId) {
    subject.provider.create_secret(id.clone(), value("first")).await.expect("create");
}

/// Those of these checks.
async fn listed(subject: &Subject) -> Vec<String> {
    let names = subject.provider.secrets(&subject.namespace).await.expect("list of secrets");
    let names = names.into_iter().map(String::from);
    names.filter(|name| name.starts_with("conf-secret")).collect()
}

fn value(text: &str) -> SecretValue {
    SecretValue::new(text).expect("a value")
}

impl Subject {
    fn secret(&self, name: &str) -> SecretId {
        SecretId::new(SecretName::parse(name).expect("a name of ours"), self.namespace.clone())
    }
}
