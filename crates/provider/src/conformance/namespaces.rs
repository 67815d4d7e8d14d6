//! Namespaces: made, told, changed and removed, and functions and secrets that keep apart in them.

use http::Request;
use model::{FunctionId, Namespace, NamespaceSpec, SecretId, SecretName, SecretValue};

use crate::{Body, ProviderError};

use super::Subject;

super::suite![
    the_default_one_is_first_and_stays,
    they_are_created_told_replaced_and_deleted,
    a_second_create_is_refused_and_changes_nothing,
    a_missing_one_is_not_found,
    functions_of_two_namespaces_keep_apart,
    secrets_of_two_namespaces_keep_apart,
];

async fn the_default_one_is_first_and_stays(subject: Subject) {
    let made = named("conf-a-namespace");
    subject.provider.create_namespace(NamespaceSpec::marked(made.clone())).await.expect("create");
    let names = subject.provider.namespaces().await.expect("namespaces");
    assert_eq!(names.first(), Some(&subject.namespace), "{names:?}");
    assert_eq!(names.iter().filter(|name| **name == made).count(), 1, "{names:?}");
    subject.provider.delete_namespace(&made).await.expect("delete");

    let told = subject.provider.namespace(&subject.namespace).await.expect("the default namespace");
    assert_eq!(told.name, subject.namespace);
    let again = NamespaceSpec::marked(subject.namespace.clone());
    let error = subject.provider.create_namespace(again).await.expect_err("it is there");
    assert!(matches!(error, ProviderError::AlreadyExists { .. }), "{error:?}");
    let error = subject.provider.delete_namespace(&subject.namespace).await.expect_err("it stays");
    assert!(matches!(error, ProviderError::Invalid(_)), "{error:?}");
    assert!(subject.provider.namespaces().await.expect("namespaces").contains(&subject.namespace));
}

async fn they_are_created_told_replaced_and_deleted(subject: Subject) {
    let mut spec = NamespaceSpec::marked(named("conf-told"));
    spec.labels.insert("team".into(), "a b".into());
    spec.annotations.insert("note".into(), "käse=\"x\"".into());
    subject.provider.create_namespace(spec.clone()).await.expect("create");
    assert_eq!(subject.provider.namespace(&spec.name).await.expect("get"), spec);
    let mut other = NamespaceSpec::marked(spec.name.clone());
    other.labels.insert("owner".into(), String::new());
    subject.provider.update_namespace(other.clone()).await.expect("update");
    assert_eq!(subject.provider.namespace(&spec.name).await.expect("get"), other, "replaced, not merged");
    subject.provider.delete_namespace(&spec.name).await.expect("delete");
    assert_gone(&subject, &spec.name).await;
}

async fn a_second_create_is_refused_and_changes_nothing(subject: Subject) {
    let spec = NamespaceSpec::marked(named("conf-twice"));
    subject.provider.create_namespace(spec.clone()).await.expect("create");
    let mut again = spec.clone();
    again.labels.insert("second".into(), "1".into());
    let error = subject.provider.create_namespace(again).await.expect_err("a second one");
    assert!(matches!(error, ProviderError::AlreadyExists { .. }), "{error:?}");
    assert_eq!(subject.provider.namespace(&spec.name).await.expect("get"), spec);
    subject.provider.delete_namespace(&spec.name).await.expect("delete");
}

async fn a_missing_one_is_not_found(subject: Subject) {
    let name = named("conf-no-namespace");
    assert_gone(&subject, &name).await;
    let error =
        subject.provider.update_namespace(NamespaceSpec::marked(name.clone())).await.expect_err("no update");
    assert!(matches!(error, ProviderError::NotFound { .. }), "{error:?}");
    let error = subject.provider.delete_namespace(&name).await.expect_err("nothing to delete");
    assert!(matches!(error, ProviderError::NotFound { .. }), "{error:?}");
    let error = subject.provider.list(&name).await.expect_err("nothing to list");
    assert!(matches!(error, ProviderError::Invalid(_)), "{error:?}");
}

async fn functions_of_two_namespaces_keep_apart(subject: Subject) {
    let namespace = named("conf-apart");
    subject.provider.create_namespace(NamespaceSpec::marked(namespace.clone())).await.expect("create");
    let here = subject.deployed(subject.spec("conf-same-name")).await;
    let mut spec = subject.spec("conf-same-name");
    spec.id.namespace = namespace.clone();
    spec.labels.insert("where".into(), "there".into());
    let there = subject.deployed(spec.clone()).await;
    assert_eq!(subject.provider.get(&there).await.expect("get").spec, spec);
    let response = subject.call(&there, Request::new(Body::Empty)).await;
    assert_eq!(response.status(), 200);

    let ids = |listed: Vec<model::FunctionStatus>| -> Vec<FunctionId> {
        let ids = listed.into_iter().map(|status| status.spec.id);
        ids.filter(|id| id.name == here.name).collect()
    };
    let listed = subject.provider.list(&subject.namespace).await.expect("list");
    assert_eq!(ids(listed), std::slice::from_ref(&here));
    let listed = subject.provider.list(&namespace).await.expect("list");
    assert_eq!(ids(listed), std::slice::from_ref(&there));

    let error = subject.provider.delete_namespace(&namespace).await.expect_err("a function is in it");
    assert!(matches!(error, ProviderError::Invalid(_)), "{error:?}");
    subject.remove(&there).await;
    subject.provider.delete_namespace(&namespace).await.expect("delete");
    assert_gone(&subject, &namespace).await;
    let error = subject.provider.deploy(spec).await.expect_err("a namespace that is gone");
    assert!(matches!(error, ProviderError::Invalid(_)), "{error:?}");
    subject.provider.get(&here).await.expect("the other one stays");
    subject.remove(&here).await;
}

async fn secrets_of_two_namespaces_keep_apart(subject: Subject) {
    let namespace = named("conf-secrets-apart");
    subject.provider.create_namespace(NamespaceSpec::marked(namespace.clone())).await.expect("create");
    let name = SecretName::parse("conf-apart").expect("name");
    let id = SecretId::new(name.clone(), namespace.clone());
    let value = SecretValue::new("there").expect("value");
    subject.provider.create_secret(id.clone(), value).await.expect("create");
    assert_eq!(subject.provider.secrets(&namespace).await.expect("list"), std::slice::from_ref(&name));
    let here = subject.provider.secrets(&subject.namespace).await.expect("list");
    assert!(!here.contains(&name), "{here:?}");
    // A function reads those of its own namespace alone.
    let mut spec = subject.spec("conf-wrong-namespace");
    spec.secrets = [name.to_string()].into();
    let error = subject.provider.deploy(spec).await.expect_err("the secret is elsewhere");
    assert!(matches!(error, ProviderError::Invalid(_)), "{error:?}");

    let error = subject.provider.delete_namespace(&namespace).await.expect_err("a secret is in it");
    assert!(matches!(error, ProviderError::Invalid(_)), "{error:?}");
    subject.provider.delete_secret(&id).await.expect("delete");
    subject.provider.delete_namespace(&namespace).await.expect("delete");
    assert_gone(&subject, &namespace).await;
}

async fn assert_gone(subject: &Subject, name: &Namespace) {
    let error = subject.provider.namespace(name).await.expect_err("it is gone");
    assert!(matches!(error, ProviderError::NotFound { .. }), "{error:?}");
    let names = subject.provider.namespaces().await.expect("namespaces");
    assert!(!names.contains(name), "{names:?}");
}

fn named(name: &str) -> Namespace {
    Namespace::parse(name).expect("a name of ours")
}
