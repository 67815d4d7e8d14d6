//! What is said of foreign namespaces and of more replicas than a host can carry.

use model::{FunctionId, Namespace};
use provider::{Provider, ProviderError};

use crate::harness::Test;
use crate::platform::{Platform, spec, version};
use crate::support::block_on;

pub const TESTS: &[Test] = &[
    ("refusals::a_foreign_namespace_is_invalid_everywhere", a_foreign_namespace_is_invalid_everywhere),
    ("refusals::replicas_are_bounded_by_descriptors", replicas_are_bounded_by_descriptors),
    ("refusals::the_version_is_the_programs", the_version_is_the_programs),
];

fn invalid<T: std::fmt::Debug>(result: Result<T, ProviderError>, reason: &str) {
    match result {
        Err(ProviderError::Invalid(text)) => assert!(text.contains(reason), "{reason:?} in {text:?}"),
        other => panic!("{reason}: {other:?}"),
    }
}

fn a_foreign_namespace_is_invalid_everywhere() {
    block_on(async {
        let platform = Platform::new().await;
        let mut foreign = spec("f", "test/echo");
        foreign.id = FunctionId::parse("f", &Namespace::parse("foreign").unwrap()).unwrap();
        let (oci, id, reason) = (&platform.oci, foreign.id.clone(), "namespace foreign does not exist");
        invalid(oci.get(&id).await, reason);
        invalid(oci.scale(&id, 1).await, reason);
        invalid(oci.delete(&id).await, reason);
        invalid(oci.list(&id.namespace).await, reason);
        invalid(oci.update(foreign.clone()).await, reason);
        invalid(oci.deploy(foreign).await, reason);
        oci.shutdown().await;
    });
}

fn replicas_are_bounded_by_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let before = getrlimit(Resource::Nofile);
    // Half of them for replicas, three for each: thirty.
    let few = Rlimit { current: Some(180), ..before };
    block_on(async {
        setrlimit(Resource::Nofile, few).unwrap();
        let platform = Platform::new().await;
        setrlimit(Resource::Nofile, before).unwrap();
        let oci = &platform.oci;
        let (a, b) = (spec("a", "test/echo"), spec("b", "test/echo"));
        oci.deploy(a.clone()).await.unwrap();
        oci.deploy(b.clone()).await.unwrap();
        invalid(oci.scale(&a.id, 30).await, "at most 30");
        let mut many = spec("c", "test/echo");
        many.labels.insert(model::scale::LABEL_MIN.into(), "29".into());
        invalid(oci.deploy(many.clone()).await, "LimitNOFILE");
        many.id = a.id.clone();
        many.labels.insert(model::scale::LABEL_MIN.into(), "30".into());
        invalid(oci.update(many).await, "limit of open files");
        assert_eq!(oci.get(&a.id).await.unwrap().replicas, 1);
        oci.scale(&a.id, 3).await.unwrap();
        oci.scale(&a.id, 0).await.unwrap();
        oci.shutdown().await;
    });
}

fn the_version_is_the_programs() {
    block_on(async {
        let platform = Platform::new().await;
        assert_eq!(platform.oci.info().await.unwrap().version, version());
        platform.oci.shutdown().await;
    });
}
