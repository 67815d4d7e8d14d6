//! Pulls from a real registry, and from servers that are none.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use image::{ImageError, ImageRef, Limits, Progress, PullOptions, Store};
use oci_client::manifest::ImageIndexEntry;
use oci_client::secrets::RegistryAuth;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::fixture::*;
use crate::registry::Registry;

fn layers() -> Vec<Vec<u8>> {
    vec![tar(&[file("base", "base".repeat(5000))]), tar(&[file("app", "app"), file(".wh.gone", "")])]
}

fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits { pull_timeout: Duration::from_secs(20), ..Limits::default() };
    let store = Store::open_with(dir.path().join("images"), limits).unwrap();
    (dir, store)
}

fn at(registry: &Registry, name: &str) -> ImageRef {
    format!("{}/{name}", registry.address).parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_pull_transfers_no_layer() {
    let (registry, (_dir, store)) = (Registry::start(), store());
    let digest = registry.push("team/app:1", &layers()).await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let progress = {
        let seen = seen.clone();
        Arc::new(move |p: &Progress| seen.lock().unwrap().push(p.clone()))
    };
    let options = PullOptions { progress: Some(progress), ..PullOptions::default() };

    let first = store.pull(&at(&registry, "team/app:1"), &options).await.unwrap();
    assert_eq!((first.report.layers_fetched, first.report.layers_present), (2, 0));
    assert_eq!(first.image.digest.to_string(), digest);
    assert_eq!(tree(&first.image.layer_dirs[1]), ["app", "gone whiteout"]);
    let seen = seen.lock().unwrap().clone();
    assert!(matches!(seen[0], Progress::Resolved { layers: 2, bytes } if bytes == first.report.bytes));
    assert!(
        seen.iter().any(|p| matches!(p, Progress::Fetching { received, total, .. } if received == total))
    );
    assert_eq!(seen.last(), Some(&Progress::Unpacking));

    // The registry could not give them again if it were asked.
    for layer in layers() {
        std::fs::remove_file(registry.blob_path(&crate::fixture::digest(&gzip(&layer)))).unwrap();
    }
    let second = store.pull(&at(&registry, "team/app:1"), &PullOptions::default()).await.unwrap();
    assert_eq!((second.report.layers_fetched, second.report.layers_present, second.report.bytes), (0, 2, 0));
    assert_eq!(second.image.layer_dirs, first.image.layer_dirs);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_tells_whether_a_tag_has_moved() {
    let (registry, (_dir, store)) = (Registry::start(), store());
    let (name, options) = (at(&registry, "app:latest"), PullOptions::default());
    registry.push("app:latest", &layers()).await;
    let first = store.pull(&name, &options).await.unwrap().image;
    let patience = Duration::from_secs(10);
    assert_eq!(store.ask(&name, &options, patience).await.unwrap(), first.digest);
    let moved = registry.push("app:latest", &[tar(&[file("new", "")])]).await;
    assert_eq!(store.ask(&name, &options, patience).await.unwrap().to_string(), moved);
    // Asking changes nothing here.
    assert_eq!(store.resolve(&name).unwrap().unwrap().digest, first.digest);

    assert!(store.was_pulled(&name).unwrap());
    let own = at(&registry, "app:own");
    store.tag(&first, &own).unwrap();
    assert!(!store.was_pulled(&own).unwrap());
    drop(registry);
    assert!(store.ask(&name, &options, patience).await.unwrap_err().is_silence());
}

#[tokio::test(flavor = "multi_thread")]
async fn images_share_layers() {
    let (registry, (_dir, store)) = (Registry::start(), store());
    let other = vec![layers()[0].clone(), tar(&[file("other", "")])];
    registry.push("a:1", &layers()).await;
    registry.push("b:1", &other).await;
    store.pull(&at(&registry, "a:1"), &PullOptions::default()).await.unwrap();
    let pulled = store.pull(&at(&registry, "b:1"), &PullOptions::default()).await.unwrap();
    assert_eq!((pulled.report.layers_fetched, pulled.report.layers_present), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn pulls_at_once_transfer_once() {
    let (registry, (dir, store)) = (Registry::start(), store());
    registry.push("app:1", &layers()).await;
    let name = at(&registry, "app:1");
    let other = Store::open(dir.path().join("images")).unwrap();
    let options = PullOptions::default();
    let (a, b, c) =
        tokio::join!(store.pull(&name, &options), other.pull(&name, &options), store.pull(&name, &options));
    let fetched: usize = [a, b, c].into_iter().map(|pulled| pulled.unwrap().report.layers_fetched).sum();
    assert_eq!(fetched, 2);
    assert_eq!(std::fs::read_dir(store.dir().join("tmp")).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_leads_to_this_host() {
    let (registry, (_dir, store)) = (Registry::start(), store());
    let ours = registry.push("app:ours", &layers()).await;
    let theirs = registry.push("app:theirs", &[tar(&[file("theirs", "")])]).await;
    let mine = oci_spec::image::Arch::default().to_string();
    let entry = |digest: &str, os: &str, architecture: &str| -> ImageIndexEntry {
        let size = std::fs::metadata(registry.blob_path(digest)).unwrap().len();
        serde_json::from_value(serde_json::json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": size,
            "platform": {"os": os, "architecture": architecture},
        }))
        .unwrap()
    };
    registry
        .push_index(
            "app:all",
            vec![
                entry(&theirs, "linux", "s390x"),
                entry(&theirs, "windows", &mine),
                entry(&ours, "linux", &mine),
            ],
        )
        .await;
    registry.push_index("app:foreign", vec![entry(&theirs, "linux", "s390x")]).await;
    let pulled = store.pull(&at(&registry, "app:all"), &PullOptions::default()).await.unwrap();
    assert_eq!(pulled.image.digest.to_string(), ours);
    let error = store.pull(&at(&registry, "app:foreign"), &PullOptions::default()).await.unwrap_err();
    assert!(
        error.to_string().ends_with(&format!("no variant for linux/{mine}; it is offered for linux/s390x")),
        "{error}"
    );

    let pinned = at(&registry, &format!("app@{ours}"));
    assert!(store.resolve(&pinned).unwrap().is_some(), "known by the digest of what was pulled");
    assert_eq!(store.pull(&pinned, &PullOptions::default()).await.unwrap().image.digest.to_string(), ours);
}

#[tokio::test(flavor = "multi_thread")]
async fn corrupt_content_is_refused() {
    let (registry, (_dir, store)) = (Registry::start(), store());
    registry.push("app:1", &layers()).await;
    let blob = registry.blob_path(&digest(&gzip(&layers()[0])));
    let mut bytes = std::fs::read(&blob).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&blob, bytes).unwrap();
    let error = store.pull(&at(&registry, "app:1"), &PullOptions::default()).await.unwrap_err();
    assert!(matches!(error, ImageError::Corrupt { .. }), "{error}");
    assert_empty(&store);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_said() {
    let (registry, (_dir, store)) = (Registry::start(), store());
    registry.push("app:1", &layers()).await;
    for name in ["app:2", "nothing:1"] {
        let error = store.pull(&at(&registry, name), &PullOptions::default()).await.unwrap_err();
        assert!(matches!(error, ImageError::NotInRegistry { .. }), "{error}");
        assert!(error.to_string().contains(name) && error.to_string().contains("check the name"), "{error}");
    }
    let address = registry.address.clone();
    drop(registry);
    let name = format!("{address}/app:1").parse().unwrap();
    let error = store.pull(&name, &PullOptions::default()).await.unwrap_err();
    assert!(matches!(error, ImageError::Unreachable { .. }), "{error}");
    assert_empty(&store);
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_open_a_private_registry() {
    let (registry, (dir, store)) = (Registry::start_with_password(), store());
    let auth = RegistryAuth::Basic("tester".into(), "secret".into());
    registry.push_as("app:1", &layers(), &auth, config(&layers())).await;
    let name = at(&registry, "app:1");
    let error = store.pull(&name, &PullOptions::default()).await.unwrap_err();
    assert!(matches!(error, ImageError::Unauthorized { .. }), "{error}");

    let docker_config = dir.path().join("config.json");
    let with = |auth: &str| format!(r#"{{"auths":{{"{}":{{"auth":"{auth}"}}}}}}"#, registry.address);
    let options = PullOptions { docker_config: Some(docker_config.clone()), ..PullOptions::default() };
    std::fs::write(&docker_config, with("dGVzdGVyOndyb25n")).unwrap();
    let error = store.pull(&name, &options).await.unwrap_err();
    assert!(matches!(error, ImageError::Unauthorized { .. }), "{error}");
    std::fs::write(&docker_config, with("dGVzdGVyOnNlY3JldA==")).unwrap();
    assert_eq!(store.pull(&name, &options).await.unwrap().report.layers_fetched, 2);
}

/// Answers each request by its path; the connection ends with the answer.
async fn serve(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                let mut buffer = [0; 1024];
                match stream.read(&mut buffer).await {
                    Ok(count) if count > 0 => request.extend(&buffer[..count]),
                    _ => break,
                }
            }
            let request = String::from_utf8_lossy(&request).into_owned();
            let answer = answer(request.split(' ').nth(1).unwrap_or_default());
            let _ = stream.write_all(&answer).await;
            let _ = stream.shutdown().await;
        }
    });
    address
}

fn http(status: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

async fn hostile(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> String {
    let (_dir, store) = store();
    let address = serve(answer).await;
    let name: ImageRef = format!("{address}/app:1").parse().unwrap();
    let error = store.pull(&name, &PullOptions::default()).await.unwrap_err();
    assert_empty(&store);
    chain(&error)
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_are_no_registry_are_refused() {
    let text = hostile(|_| http("200 OK", b"<html>hello</html>")).await;
    assert!(text.contains("manifest is not usable"), "{text}");
    let text = hostile(|_| http("200 OK", &vec![b' '; 5 << 20])).await;
    assert!(text.contains("larger than the limit of 4194304 bytes"), "{text}");
    let text = hostile(|_| http("418 I'm a teapot", br#"{"errors":[{"message":"short and stout"}]}"#)).await;
    assert!(text.contains("answered 418") && text.contains("short and stout"), "{text}");
    let text = hostile(|_| http("503 Service Unavailable", b"")).await;
    assert!(text.contains("answered 503"), "{text}");
    let text = hostile(|_| b"SSH-2.0-OpenSSH\r\n".to_vec()).await;
    assert!(text.contains("cannot reach registry"), "{text}");
    let schema1 = br#"{"schemaVersion":1,"fsLayers":[]}"#;
    let text = hostile(|_| http("200 OK", schema1)).await;
    assert!(text.contains("schema version 1"), "{text}");
    let artifact = r#"{"schemaVersion":2,"config":{"mediaType":"a/b","digest":"sha256:HEX","size":1},"layers":[{"mediaType":"application/wasm","digest":"sha256:HEX","size":1}]}"#;
    let artifact = artifact.replace("HEX", &"a".repeat(64));
    let text = hostile(move |_| http("200 OK", artifact.as_bytes())).await;
    assert!(text.contains("no container image"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_that_never_ends_is_ended() {
    let layer = gzip(&tar(&[file("a", "a")]));
    let files = oci_layout(Some("app:1"), &[(tar(&[file("a", "a")]), layer.clone())]);
    let manifest = files
        .values()
        .find(|file| file.starts_with(b"{") && String::from_utf8_lossy(file).contains("\"layers\":[{"))
        .unwrap()
        .clone();
    let text = hostile(move |path| match path {
        "/v2/" => http("200 OK", b"{}"),
        path if path.contains("/manifests/") => http("200 OK", &manifest),
        path if path.contains(&hex(&layer)) => {
            [b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_vec(), vec![0; 8 << 20]].concat()
        }
        path => http("200 OK", &files[&format!("blobs/sha256/{}", path.rsplit_once(':').unwrap().1)]),
    })
    .await;
    assert!(text.contains("is larger than the limit of"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_that_is_dropped_changes_no_name() {
    let (_dir, store) = store();
    let layer = gzip(&tar(&[file("a", "a")]));
    let files = oci_layout(Some("app:1"), &[(tar(&[file("a", "a")]), layer.clone())]);
    let is_manifest = |file: &&Vec<u8>| String::from_utf8_lossy(file).contains("\"layers\":[{");
    let manifest = files.values().find(is_manifest).unwrap().clone();
    let (started, layer_asked) = tokio::sync::oneshot::channel();
    let started = Mutex::new(Some(started));
    let address = serve(move |path| match path {
        "/v2/" => http("200 OK", b"{}"),
        path if path.contains("/manifests/") => http("200 OK", &manifest),
        path if path.contains(&hex(&layer)) => {
            started.lock().unwrap().take().map(|started| started.send(()));
            // More is promised than comes.
            b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx".to_vec()
        }
        path => http("200 OK", &files[&format!("blobs/sha256/{}", path.rsplit_once(':').unwrap().1)]),
    })
    .await;
    let name: ImageRef = format!("{address}/app:1").parse().unwrap();
    let options = PullOptions::default();
    tokio::select! {
        result = store.pull(&name, &options) => assert!(result.is_err()),
        _ = layer_asked => {}
    }
    assert!(store.resolve(&name).unwrap().is_none());
    assert!(store.list().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_http_is_for_loopback_and_the_listed() {
    let (_dir, store) = store();
    // An address of this host that is not loopback would do; a name that resolves to loopback is not enough.
    let name: ImageRef = "registry.invalid:5000/app:1".parse().unwrap();
    let error = store.pull(&name, &PullOptions::default()).await.unwrap_err();
    assert!(chain(&error).contains("https://registry.invalid:5000"), "{}", chain(&error));
    let options =
        PullOptions { insecure_registries: vec!["registry.invalid:5000".into()], ..PullOptions::default() };
    let error = store.pull(&name, &options).await.unwrap_err();
    assert!(chain(&error).contains("http://registry.invalid:5000"), "{}", chain(&error));
}
