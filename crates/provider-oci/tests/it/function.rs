//! Functions through starts, crashes and replacements.

use std::time::{Duration, Instant};

use provider::{Provider, ProviderError};
use provider_oci::OciError;

use crate::harness::Test;
use crate::platform::{Platform, connect, spec};
use crate::support::{block_on, children, kill, launcher_pid, until};

pub const TESTS: &[Test] = &[
    ("function::a_restart_brings_back_what_was_wished", a_restart_brings_back_what_was_wished),
    ("function::a_replica_that_dies_is_replaced", a_replica_that_dies_is_replaced),
    ("function::functions_come_back_after_the_launcher_dies", functions_come_back_after_the_launcher_dies),
    (
        "function::a_broken_function_is_no_harm_and_can_be_mended",
        a_broken_function_is_no_harm_and_can_be_mended,
    ),
    ("function::an_update_fails_no_call", an_update_fails_no_call),
    (
        "function::what_cannot_be_is_refused_and_changes_nothing",
        what_cannot_be_is_refused_and_changes_nothing,
    ),
    ("function::a_data_directory_serves_one_platform", a_data_directory_serves_one_platform),
    ("function::lives_leave_nothing_and_a_cold_start_is_fast", lives_leave_nothing_and_a_cold_start_is_fast),
];

/// The first processes of all containers of this test.
fn replicas() -> Vec<i32> {
    children(launcher_pid().unsigned_abs())
}

fn a_restart_brings_back_what_was_wished() {
    block_on(async {
        let platform = Platform::new().await;
        let one = platform.deployed(spec("one", "test/echo")).await;
        let zero = platform.deployed(spec("zero", "test/echo")).await;
        let gone = platform.deployed(spec("gone", "test/echo")).await;
        platform.oci.scale(&one, 2).await.unwrap();
        platform.oci.scale(&zero, 0).await.unwrap();
        platform.oci.delete(&gone).await.unwrap();
        let before = platform.oci.get(&one).await.unwrap();
        let platform = platform.again().await;
        platform.until(&one, |status| status.available == 2).await;
        let after = platform.oci.get(&one).await.unwrap();
        assert_eq!((after.spec, after.replicas, after.created_at), (before.spec, 2, before.created_at));
        assert_eq!(platform.call(&one).await.unwrap().status(), 200);
        assert_eq!(platform.oci.get(&zero).await.unwrap().replicas, 0);
        assert!(matches!(platform.oci.get(&gone).await, Err(ProviderError::NotFound { .. })));
        assert_eq!(replicas().len(), 2);
        platform.oci.shutdown().await;
    });
}

fn a_replica_that_dies_is_replaced() {
    block_on(async {
        let platform = Platform::new().await;
        let id = platform.deployed(spec("mortal", "test/echo")).await;
        let first = platform.oci.routes().get(&id).unwrap().endpoints[0].replica().to_owned();
        kill(replicas()[0]);
        let mut routes = platform.oci.routes().subscribe(&id).unwrap();
        let replaced =
            routes.wait_for(|route| route.endpoints.first().is_some_and(|e| e.replica() != first)).await;
        drop(replaced.unwrap());
        assert_eq!(platform.call(&id).await.unwrap().status(), 200);
        platform.oci.shutdown().await;
    });
}

fn functions_come_back_after_the_launcher_dies() {
    block_on(async {
        let platform = Platform::new().await;
        let id = platform.deployed(spec("mortal", "test/echo")).await;
        let first = platform.oci.routes().get(&id).unwrap().endpoints[0].replica().to_owned();
        kill(launcher_pid());
        let mut routes = platform.oci.routes().subscribe(&id).unwrap();
        let replaced =
            routes.wait_for(|route| route.endpoints.first().is_some_and(|e| e.replica() != first)).await;
        drop(replaced.unwrap());
        assert_eq!(platform.call(&id).await.unwrap().status(), 200);
        platform.oci.health().await.unwrap();
        platform.oci.shutdown().await;
    });
}

fn a_broken_function_is_no_harm_and_can_be_mended() {
    block_on(async {
        let platform = Platform::new().await;
        let other = platform.deployed(spec("other", "test/echo")).await;
        let broken = spec("broken", "test/broken");
        platform.oci.deploy(broken.clone()).await.unwrap();
        assert_eq!(platform.call(&other).await.unwrap().status(), 200);
        assert_eq!(platform.oci.get(&broken.id).await.unwrap().available, 0);
        platform.oci.update(spec("broken", "test/echo")).await.unwrap();
        platform.until(&broken.id, |status| status.available == 1).await;
        // The other way round the old one goes on serving.
        platform.oci.update(broken.clone()).await.unwrap();
        assert_eq!(platform.call(&broken.id).await.unwrap().status(), 200);
        platform.oci.delete(&broken.id).await.unwrap();
        platform.oci.shutdown().await;
    });
}

fn an_update_fails_no_call() {
    block_on(async {
        let platform = std::sync::Arc::new(Platform::new().await);
        let id = platform.deployed(spec("busy", "test/echo")).await;
        let ended = tokio_util::sync::CancellationToken::new();
        let caller = {
            let (platform, id, ended) = (std::sync::Arc::clone(&platform), id.clone(), ended.clone());
            tokio::spawn(async move {
                let mut calls = 0;
                while !ended.is_cancelled() {
                    assert_eq!(platform.call(&id).await.unwrap().status(), 200);
                    calls += 1;
                }
                calls
            })
        };
        for version in 0..5 {
            let old = platform.oci.routes().get(&id).unwrap().endpoints[0].replica().to_owned();
            let mut next = spec("busy", "test/echo");
            next.env.insert("VERSION".to_owned(), version.to_string());
            platform.oci.update(next).await.unwrap();
            let mut routes = platform.oci.routes().subscribe(&id).unwrap();
            drop(routes.wait_for(|route| route.endpoints.iter().all(|e| e.replica() != old)).await.unwrap());
        }
        ended.cancel();
        assert!(caller.await.unwrap() > 5);
        platform.oci.shutdown().await;
    });
}

fn what_cannot_be_is_refused_and_changes_nothing() {
    block_on(async {
        let platform = Platform::new().await;
        let check = async |change: &dyn Fn(&mut model::FunctionSpec), reason: &str| {
            let mut spec = spec("bad", "test/echo");
            change(&mut spec);
            match platform.oci.deploy(spec.clone()).await {
                Err(ProviderError::Invalid(text)) => assert!(text.contains(reason), "{reason:?} in {text:?}"),
                other => panic!("{reason}: {other:?}"),
            }
            assert!(matches!(platform.oci.get(&spec.id).await, Err(ProviderError::NotFound { .. })));
        };
        check(
            &|spec| _ = spec.secrets.insert("token".into()),
            "secret token of namespace openfaas-fn is not found",
        )
        .await;
        check(&|spec| _ = spec.env.insert("A=B".into(), "x".into()), "cannot be the name of a variable")
            .await;
        check(&|spec| _ = spec.env.insert("A".into(), "\0".into()), "NUL").await;
        check(&|spec| spec.limits.memory = Some("2Mi".parse().unwrap()), "limits.memory").await;
        check(&|spec| spec.limits.cpu = Some("1m".parse().unwrap()), "limits.cpu").await;
        check(&|spec| spec.image = "127.0.0.1:1/x".parse().unwrap(), "127.0.0.1:1").await;
        let path = provider_oci::PATH_ANNOTATION;
        check(&|spec| _ = spec.annotations.insert(path.into(), "no path".into()), "is no path").await;
        let files = std::fs::read_dir(platform.folder.path().join("functions")).unwrap();
        assert_eq!(files.count(), 0);
        platform.oci.shutdown().await;
    });
}

fn a_data_directory_serves_one_platform() {
    block_on(async {
        let platform = Platform::new().await;
        let refused = connect(platform.folder.path()).await.map(drop).unwrap_err();
        assert!(
            matches!(refused, OciError::State(_)) && refused.to_string().contains("another platform"),
            "{refused}"
        );
        let neighbour = Platform::new().await;
        let id = neighbour.deployed(spec("same", "test/echo")).await;
        platform.deployed(spec("same", "test/echo")).await;
        platform.oci.shutdown().await;
        assert_eq!(neighbour.call(&id).await.unwrap().status(), 200);
        neighbour.oci.shutdown().await;
    });
}

fn lives_leave_nothing_and_a_cold_start_is_fast() {
    block_on(async {
        let platform = Platform::new().await;
        let id = platform.deployed(spec("cold", "test/echo")).await;
        let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
        let (mut cold, mut before) = (Vec::new(), None);
        for _ in 0..11 {
            platform.oci.scale(&id, 0).await.unwrap();
            platform.until(&id, |status| status.available == 0).await;
            until("the replica is gone", || replicas().is_empty());
            // The streams are read to their end a moment after.
            until("all is closed", || *before.get_or_insert_with(descriptors) >= descriptors());
            let begun = Instant::now();
            platform.oci.scale(&id, 1).await.unwrap();
            assert_eq!(platform.call(&id).await.unwrap().status(), 200);
            cold.push(begun.elapsed());
        }
        cold.sort_unstable();
        println!("scale 0 to first byte {:?} (median of 11, least {:?})", cold[5], cold[0]);
        assert!(cold[5] < Duration::from_secs(1), "{cold:?}");
        platform.oci.shutdown().await;
    });
}
