//! What functions write: kept within bounds, over restarts, and at no other function's cost.

use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use http::Request;
use model::{FunctionId, LogQuery};
use provider::{Body, Call, CallId, Invoke, Provider};

use crate::harness::Test;
use crate::platform::{Direct, Platform, config, spec, store};
use crate::support::block_on;

pub const TESTS: &[Test] = &[
    ("logs::a_restart_and_an_update_keep_the_lines", a_restart_and_an_update_keep_the_lines),
    ("logs::a_flood_is_bounded_and_harms_nobody", a_flood_is_bounded_and_harms_nobody),
    ("logs::the_last_word_of_a_replica_is_kept", the_last_word_of_a_replica_is_kept),
];

fn query(id: &FunctionId) -> LogQuery {
    LogQuery { function: id.clone(), instance: None, tail: None, since: None, follow: false }
}

async fn texts(platform: &Platform, query: LogQuery) -> Vec<String> {
    let lines = platform.oci.logs(query).await.unwrap();
    lines.map(|line| line.unwrap().text).collect().await
}

async fn write(platform: &Platform, id: &FunctionId, text: &str) {
    let request = Request::builder().header("x-echo-log", text).body(Body::Empty).unwrap();
    let call = Call { function: id.clone(), call_id: CallId::random(), request };
    assert_eq!(Direct(platform.oci.clone()).invoke(call).await.unwrap().status(), 200);
}

fn a_restart_and_an_update_keep_the_lines() {
    block_on(async {
        let platform = Platform::new().await;
        let id = platform.deployed(spec("told", "test/echo")).await;
        write(&platform, &id, "before").await;
        let platform = platform.again().await;
        platform.until(&id, |status| status.available == 1).await;
        write(&platform, &id, "after").await;
        let mut other = spec("told", "test/echo");
        other.env.insert("A".into(), "b".into());
        let first = platform.oci.routes().get(&id).unwrap().endpoints[0].replica().to_owned();
        platform.oci.update(other).await.unwrap();
        let replica = || platform.oci.routes().get(&id).unwrap().endpoints[0].replica().to_owned();
        platform.until(&id, |_| replica() != first).await;
        // Ends with the platform: until then lines may be on their way.
        let mut lines = platform.oci.logs(LogQuery { follow: true, ..query(&id) }).await.unwrap();
        write(&platform, &id, "at last").await;
        let mut told = Vec::new();
        while told.last().is_none_or(|(_, text)| text != "at last") {
            let line = lines.next().await.unwrap().unwrap();
            told.push((line.instance, line.text));
        }
        let texts: Vec<_> = told.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(texts, ["echo is up", "before", "echo is up", "after", "echo is up", "at last"]);
        assert_eq!(told[3].0, first);
        assert_eq!(told[5].0, replica());
        platform.oci.shutdown().await;
        assert!(lines.next().await.is_none());
    });
}

fn a_flood_is_bounded_and_harms_nobody() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let settings = provider_oci::Config { log_max: 1 << 20, ..config(folder.path()) };
        let images = provider_oci::StoreImages { store: store(), pull: image::PullOptions::default() };
        let oci = provider_oci::Oci::connect(settings, std::sync::Arc::new(images)).await.unwrap();
        let platform = Platform { folder, oci };
        let calm = platform.deployed(spec("calm", "test/echo")).await;
        let quiet = median_call(&platform, &calm).await;
        let flood = platform.deployed(spec("flood", "test/flood")).await;
        // Read slowly all the while; it costs the function nothing.
        let mut slow = platform.oci.logs(LogQuery { follow: true, ..query(&flood) }).await.unwrap();
        let (begun, cpu) = (Instant::now(), cpu_time());
        let mut busy = Vec::new();
        while begun.elapsed() < Duration::from_secs(3) {
            busy.push(median_call(&platform, &calm).await);
            let bytes = bytes_in(&platform.folder.path().join("logs"));
            assert!(bytes <= (1 << 20) + 4096, "{bytes} bytes are kept");
            assert!(slow.next().await.unwrap().is_ok());
        }
        busy.sort_unstable();
        let (busy, cost) =
            (busy[busy.len() / 2], (cpu_time() - cpu).as_secs_f64() / begun.elapsed().as_secs_f64());
        println!(
            "a call to another function: {quiet:?} alone, {busy:?} beside a flood; this process used {cost:.2} cores"
        );
        assert!(busy < quiet * 4 + Duration::from_millis(2), "{busy:?} beside a flood, {quiet:?} alone");
        assert_eq!(platform.call(&flood).await.unwrap().status(), 200);
        let kept = texts(&platform, query(&flood)).await;
        assert!(
            kept.len() > 5000 && kept.iter().rev().take(5000).all(|text| text == "flood"),
            "{}",
            kept.len()
        );
        write(&platform, &calm, "still here").await;
        platform.oci.delete(&flood).await.unwrap();
        assert!(!platform.folder.path().join("logs/openfaas-fn/flood").exists());
        platform.oci.shutdown().await;
        assert!(bytes_in(&platform.folder.path().join("logs")) > 0);
    });
}

fn the_last_word_of_a_replica_is_kept() {
    block_on(async {
        let platform = Platform::new().await;
        let broken = spec("broken", "test/broken");
        platform.oci.deploy(broken.clone()).await.unwrap();
        let mut lines = platform.oci.logs(LogQuery { follow: true, ..query(&broken.id) }).await.unwrap();
        let first = lines.next().await.unwrap().unwrap();
        let second = lines.next().await.unwrap().unwrap();
        assert_eq!((first.text.as_str(), second.text.as_str()), ("it is broken", "it is broken"));
        assert_ne!(first.instance, second.instance, "a new replica is followed, too");
        assert!(first.timestamp <= second.timestamp);
        platform.oci.delete(&broken.id).await.unwrap();
        platform.oci.shutdown().await;
    });
}

async fn median_call(platform: &Platform, id: &FunctionId) -> Duration {
    let mut times = Vec::new();
    for _ in 0..51 {
        let begun = Instant::now();
        assert_eq!(platform.call(id).await.unwrap().status(), 200);
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    times[times.len() / 2]
}

fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap())
}

fn bytes_in(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let bytes = entries.map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_in(&entry.path()),
        // Removed meanwhile.
        metadata => metadata.map_or(0, |metadata| metadata.len()),
    });
    bytes.sum()
}
