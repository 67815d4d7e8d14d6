//! Secrets: read by whom they are for, in memory alone, and gone with the container.

use std::os::unix::fs::symlink;
use std::path::Path;

use model::{FunctionId, Namespace, SecretId, SecretName, SecretValue};
use provider::{Provider, ProviderError};
use provider_oci::container::{ContainerSpec, Exit};

use crate::harness::Test;
use crate::platform::{Platform, config, connect, spec, store};
use crate::support::{Host, block_on, children, cmdline, kill, launcher_pid, start_with, until};

pub const TESTS: &[Test] = &[
    ("secrets::a_container_reads_the_exact_bytes", a_container_reads_the_exact_bytes),
    ("secrets::they_are_in_no_environment_and_no_bundle", they_are_in_no_environment_and_no_bundle),
    ("secrets::links_of_an_image_move_no_secret", links_of_an_image_move_no_secret),
    ("secrets::what_came_incomplete_starts_nothing", what_came_incomplete_starts_nothing),
    ("secrets::a_function_reads_what_was_set_last", a_function_reads_what_was_set_last),
    ("secrets::nothing_of_them_is_on_disk_in_clear", nothing_of_them_is_on_disk_in_clear),
    ("secrets::a_damaged_one_hinders_its_users_alone", a_damaged_one_hinders_its_users_alone),
    ("secrets::a_kill_leaves_nothing", a_kill_leaves_nothing),
    ("secrets::a_key_file_that_is_unfit_is_refused_at_start", a_key_file_that_is_unfit_is_refused_at_start),
    ("secrets::too_much_for_a_function_is_refused", too_much_for_a_function_is_refused),
];

/// Long and odd enough to be found nowhere by chance.
const PLAIN: &str = "pl41n-5ecret-Zx9";

fn a_container_reads_the_exact_bytes() {
    block_on(async {
        let host = Host::new().await;
        let bytes: Vec<u8> = (0..=255).collect::<Vec<u8>>().repeat(1000);
        let files: [(&str, &[u8]); 4] =
            [("all.bytes", &bytes), ("empty", b""), ("line", b"x\n"), ("bare", b"y")];
        let script = "cd /var/openfaas/secrets; for f in *; do echo $f $(wc -c < $f) $(sha1sum < $f); done; \
                      stat -c '%a %F' . line; cat line bare; echo; \
                      echo > line && echo written; echo > new && echo written; rm -f line && echo removed; \
                      mount -o remount,rw . && echo remounted; umount . && echo unmounted; \
                      grep /var/openfaas/secrets /proc/mounts";
        for (id, user) in [("root", ""), ("other", "app")] {
            let spec = ContainerSpec { user: user.into(), ..host.spec(id, script) };
            let (container, output) = start_with(&host.launcher, spec, &files).await.unwrap();
            let text = output.read().await;
            assert_eq!(container.removed().await, Exit::Code(0), "{text}");
            for line in ["all.bytes 256000 ", "empty 0 da39a3ee5e6b4b0d3255bfef95601890afd80709", "bare 1 "] {
                assert!(text.lines().any(|told| told.starts_with(line)), "{line}: {text}");
            }
            assert!(text.contains("755 directory\n444 regular file\nx\ny\n"), "{text}");
            assert!(text.contains("tmpfs /var/openfaas/secrets tmpfs ro,nosuid,nodev,noexec"), "{text}");
            for done in ["written", "removed", "remounted", "unmounted"] {
                assert!(!text.contains(done), "{done}: {text}");
            }
        }
        let (_, text) =
            host.run(&host.spec("without", "ls /var/openfaas/secrets; find / -name all.bytes")).await;
        assert!(text.contains("No such file"), "a container without secrets has no such folder: {text}");
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains("openfaas/secrets"));
    });
}

fn they_are_in_no_environment_and_no_bundle() {
    block_on(async {
        let host = Host::new().await;
        let spec = host.spec("a", "echo; sleep 1000");
        let (container, mut output) =
            start_with(&host.launcher, spec, &[("name", PLAIN.as_bytes())]).await.unwrap();
        output.begun().await;
        let launcher = launcher_pid();
        for pid in [container.pid(), launcher] {
            for file in ["environ", "cmdline", "mountinfo"] {
                let text = std::fs::read(format!("/proc/{pid}/{file}")).unwrap();
                assert!(!holds(&text, PLAIN), "{file} of {pid}");
            }
        }
        // As the launcher sees it: bundles lie in its own memory file system.
        let folder = format!("/proc/{launcher}/root{}", host.folder.path().display());
        assert!(Path::new(&folder).join("containers/run/a/config.json").exists());
        assert_eq!(files_with(Path::new(&folder), PLAIN), 0);
        let inside = format!("/proc/{}/root/var/openfaas/secrets/name", container.pid());
        assert_eq!(std::fs::read_to_string(inside).unwrap(), PLAIN);
        let descriptors = std::fs::read_dir(format!("/proc/{launcher}/fd")).unwrap().flatten();
        let links = descriptors.filter_map(|fd| std::fs::read_link(fd.path()).ok());
        assert!(links.filter(|link| link.to_string_lossy().contains("secret")).count() == 0);
        container.stop(std::time::Duration::ZERO).await;
    });
}

fn links_of_an_image_move_no_secret() {
    block_on(async {
        let host = Host::new().await;
        let outside = host.folder.path().join("outside");
        std::fs::create_dir(&outside).unwrap();
        let up = format!("{}{}", "../".repeat(40), outside.display());
        let check = async |id: &str, prepare: &dyn Fn(&Path)| {
            let evil = host.folder.path().join(format!("evil-{id}"));
            std::fs::create_dir_all(&evil).unwrap();
            prepare(&evil);
            let mut spec = host.spec(id, "ls /var/openfaas/secrets");
            spec.layers.push(evil);
            let started = start_with(&host.launcher, spec, &[("name", PLAIN.as_bytes())]).await;
            let error = started.map(drop).expect_err("a link is no folder").to_string();
            assert!(error.contains("is not a directory"), "{id}: {error}");
            let got_out: Vec<_> = std::fs::read_dir(&outside).unwrap().flatten().collect();
            assert!(got_out.is_empty(), "{id}: {got_out:?}");
        };
        let folder = |path: &Path, name: &str| std::fs::create_dir_all(path.join(name)).unwrap();
        check("var", &|evil| symlink(&up, evil.join("var")).unwrap()).await;
        check("absolute", &|evil| symlink(&outside, evil.join("var")).unwrap()).await;
        check("inside", &|evil| symlink("/tmp", evil.join("var")).unwrap()).await;
        check("middle", &|evil| {
            folder(evil, "var");
            symlink(&up, evil.join("var/openfaas")).unwrap();
        })
        .await;
        check("last", &|evil| {
            folder(evil, "var/openfaas");
            symlink(&outside, evil.join("var/openfaas/secrets")).unwrap();
        })
        .await;
        check("proc", &|evil| {
            folder(evil, "var/openfaas");
            symlink("/proc/1/root/tmp", evil.join("var/openfaas/secrets")).unwrap();
        })
        .await;
        check("file", &|evil| {
            folder(evil, "var/openfaas");
            std::fs::write(evil.join("var/openfaas/secrets"), "").unwrap();
        })
        .await;
        // What an image has in the folder itself is hidden.
        let mut spec = host.spec("hidden", "ls -l /var/openfaas/secrets; cat /var/openfaas/secrets/name");
        let layer = host.folder.path().join("own");
        folder(&layer, "var/openfaas/secrets/folder");
        symlink(&up, layer.join("var/openfaas/secrets/name")).unwrap();
        spec.layers.push(layer);
        let (container, output) = start_with(&host.launcher, spec, &[("name", b"v")]).await.unwrap();
        let text = output.read().await;
        assert!(text.ends_with("\nv") && !text.contains("folder"), "{text}");
        container.removed().await;
    });
}

fn what_came_incomplete_starts_nothing() {
    block_on(async {
        let host = Host::new().await;
        let mut spec = host.spec("a", "true");
        let file = |name: &str, bytes| provider_oci::container::SecretFile { name: name.into(), bytes };
        spec.secrets = vec![file("name", 5)];
        let error = host.try_start(&spec).await.map(drop).unwrap_err().to_string();
        assert!(error.contains("incomplete"), "{error}");
        for (secrets, reason) in [
            (vec![file("../x", 1)], "secret name"),
            (vec![file("", 1)], "secret name"),
            (vec![file("a/b", 1)], "secret name"),
            (vec![file("a", u64::MAX), file("b", 1)], "too many"),
            ((0..257).map(|n| file(&format!("s{n}"), 0)).collect(), "too many"),
        ] {
            spec.secrets = secrets;
            let error = host.try_start(&spec).await.map(drop).unwrap_err().to_string();
            assert!(error.contains(reason), "{reason}: {error}");
        }
        assert_eq!(host.run(&host.spec("a", "true")).await.0, Exit::Code(0));
    });
}

fn a_function_reads_what_was_set_last() {
    block_on(async {
        let platform = Platform::new().await;
        let oci = &platform.oci;
        oci.create_secret(id("token"), value(PLAIN)).await.unwrap();
        oci.create_secret(id("other"), value("not for it")).await.unwrap();
        let user = platform.deployed(with_secrets("user", &["token"])).await;
        assert_eq!(seen_by(first_replica()), [("token".to_owned(), PLAIN.to_owned())]);

        oci.update_secret(id("token"), value("replaced")).await.unwrap();
        assert_eq!(seen_by(first_replica())[0].1, PLAIN, "those that run keep what they were given");
        oci.scale(&user, 0).await.unwrap();
        until("no replica is left", || replicas().is_empty());
        oci.scale(&user, 1).await.unwrap();
        platform.until(&user, |status| status.available == 1).await;
        assert_eq!(seen_by(first_replica())[0].1, "replaced");

        // A restart reads them with the key that was kept.
        let platform = platform.again().await;
        platform.until(&user, |status| status.available == 1).await;
        assert_eq!(seen_by(first_replica())[0].1, "replaced");
        let error = platform.oci.delete_secret(&id("token")).await.unwrap_err();
        assert!(error.to_string().contains("in use by function user.openfaas-fn"), "{error}");
        platform.oci.shutdown().await;
    });
}

fn nothing_of_them_is_on_disk_in_clear() {
    block_on(async {
        let platform = Platform::new().await;
        let value = SecretValue::new(PLAIN.repeat(1000)).unwrap();
        platform.oci.create_secret(id("token"), value).await.unwrap();
        let user = platform.deployed(with_secrets("user", &["token"])).await;
        assert_eq!(seen_by(first_replica())[0].1.len(), PLAIN.len() * 1000);
        assert_eq!(files_with(platform.folder.path(), PLAIN), 0);
        platform.oci.delete(&user).await.unwrap();
        platform.oci.delete_secret(&id("token")).await.unwrap();
        platform.oci.shutdown().await;
        assert_eq!(files_with(platform.folder.path(), PLAIN), 0);
    });
}

fn a_damaged_one_hinders_its_users_alone() {
    block_on(async {
        let platform = Platform::new().await;
        for name in ["good", "bad"] {
            platform.oci.create_secret(id(name), value(PLAIN)).await.unwrap();
        }
        let good = platform.deployed(with_secrets("good", &["good"])).await;
        let bad = platform.deployed(with_secrets("bad", &["bad", "good"])).await;
        let folder = platform.folder.path().join("secrets/openfaas-fn");
        std::fs::copy(folder.join("good"), folder.join("bad")).unwrap();
        let platform = platform.again().await;
        platform.until(&good, |status| status.available == 1).await;
        assert_eq!(platform.oci.get(&bad).await.unwrap().available, 0);
        assert_eq!(platform.call(&good).await.unwrap().status(), 200);
        // Set anew, it serves again.
        platform.oci.update_secret(id("bad"), value("mended")).await.unwrap();
        platform.until(&bad, |status| status.available == 1).await;
        platform.oci.shutdown().await;
    });
}

fn a_kill_leaves_nothing() {
    block_on(async {
        let platform = Platform::new().await;
        platform.oci.create_secret(id("token"), value(PLAIN)).await.unwrap();
        let user = platform.deployed(with_secrets("user", &["token"])).await;
        let replica = || Some(platform.oci.routes().get(&user)?.endpoints.first()?.replica().to_owned());
        let first = replica();
        kill(launcher_pid());
        platform.until(&user, |status| status.available == 1 && replica() != first).await;
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(platform.folder.path().to_str().unwrap()), "{mounts}");
        assert_eq!(files_with(platform.folder.path(), PLAIN), 0);
        // In the middle of many starts, too.
        platform.oci.scale(&user, 8).await.unwrap();
        until("some are under way", || replicas().len() > 1);
        kill(launcher_pid());
        platform.oci.scale(&user, 1).await.unwrap();
        // The next start sweeps what the two kills left.
        let platform = platform.again().await;
        platform.until(&user, |status| status.available == 1).await;
        assert_eq!(replicas().len(), 1);
        platform.oci.shutdown().await;
        assert_eq!(files_with(platform.folder.path(), PLAIN), 0);
        let left = std::fs::read_dir(platform.folder.path().join("containers/replicas")).unwrap().count();
        assert_eq!(left, 0);
    });
}

fn a_key_file_that_is_unfit_is_refused_at_start() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key");
        let at = |key: &Path| provider_oci::Config {
            secrets_key_file: Some(key.to_owned()),
            ..config(&folder.path().join("data"))
        };
        let images = || {
            let images = provider_oci::StoreImages { store: store(), pull: image::PullOptions::default() };
            std::sync::Arc::new(images)
        };
        let refused = async |key: &Path, reason: &str| {
            let error = provider_oci::Oci::connect(at(key), images()).await.map(drop).unwrap_err();
            let mut text = error.to_string();
            let mut source = std::error::Error::source(&error);
            while let Some(cause) = source {
                text = format!("{text}: {cause}");
                source = cause.source();
            }
            assert!(text.contains(reason), "{reason}: {text}");
        };
        refused(&folder.path().join("nowhere/key"), "folder does not exist").await;
        std::fs::write(&key, "short").unwrap();
        std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        refused(&key, "32 bytes").await;
        std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
        refused(&key, "0600").await;
        std::fs::remove_file(&key).unwrap();
        // One that is missing is made where it was wished, when it is needed.
        let oci = provider_oci::Oci::connect(at(&key), images()).await.unwrap();
        assert!(!key.exists());
        oci.create_secret(id("token"), value(PLAIN)).await.unwrap();
        assert_eq!(key.metadata().unwrap().len(), 32);
        assert!(!folder.path().join("data/secrets.key").exists());
        oci.shutdown().await;
    });
}

fn too_much_for_a_function_is_refused() {
    block_on(async {
        let platform = Platform::new().await;
        let large = || SecretValue::new(vec![b'x'; model::secret::SECRET_MAX]).unwrap();
        let names: Vec<_> = (0..17).map(|n| format!("s{n}")).collect();
        for name in &names {
            platform.oci.create_secret(id(name), large()).await.unwrap();
        }
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let refused = async |spec, reason: &str| match platform.oci.deploy(spec).await {
            Err(ProviderError::Invalid(text)) => assert!(text.contains(reason), "{reason}: {text}"),
            other => panic!("{reason}: {other:?}"),
        };
        refused(with_secrets("many", &names), "the most is 16777216").await;
        let mut small = with_secrets("small", &names[..4]);
        small.limits.memory = Some("8Mi".parse().unwrap());
        refused(small.clone(), "limits.memory").await;
        refused(with_secrets("absent", &["nobody"]), "is not found, create it first").await;
        platform.deployed(with_secrets("many", &names[..16])).await;
        let pid = first_replica();
        assert_eq!(seen_by(pid).len(), 16);
        let again = connect(platform.folder.path()).await;
        assert!(again.is_err(), "the folder is in use");
        platform.oci.shutdown().await;
    });
}

fn id(name: &str) -> SecretId {
    SecretId::new(SecretName::parse(name).unwrap(), Namespace::default())
}

fn value(text: &str) -> SecretValue {
    SecretValue::new(text).unwrap()
}

fn with_secrets(name: &str, secrets: &[&str]) -> model::FunctionSpec {
    let mut spec = spec(name, "test/echo");
    spec.id = FunctionId::parse(name, &Namespace::default()).unwrap();
    spec.secrets = secrets.iter().map(|name| (*name).to_owned()).collect();
    spec
}

/// Processes that are past being made.
fn replicas() -> Vec<i32> {
    let mut pids = children(launcher_pid().unsigned_abs());
    pids.retain(|pid| cmdline(*pid).contains("echo-function"));
    pids
}

fn first_replica() -> i32 {
    replicas()[0]
}

/// What lies in the secrets folder of a process.
fn seen_by(pid: i32) -> Vec<(String, String)> {
    let folder = std::fs::read_dir(format!("/proc/{pid}/root/var/openfaas/secrets")).unwrap().flatten();
    let read = |path: &Path| String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
    let files = folder.map(|entry| (entry.file_name().to_string_lossy().into_owned(), read(&entry.path())));
    files.collect()
}

fn files_with(folder: &Path, text: &str) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.file_type().unwrap() {
            kind if kind.is_dir() => files_with(&entry.path(), text),
            kind if kind.is_file() => {
                usize::from(holds(&std::fs::read(entry.path()).unwrap_or_default(), text))
            }
            _ => 0,
        })
        .sum()
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}
