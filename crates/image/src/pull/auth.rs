//! Credentials as `docker login` keeps them: in config.json, or in a helper program that it names.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use oci_client::secrets::RegistryAuth;
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::error::ImageError;

const CONFIG_MAX: u64 = 1024 * 1024;
const ANSWER_MAX: u64 = 64 * 1024;
const HELPER_TIMEOUT: Duration = Duration::from_secs(30);
/// Under which Docker keeps what is for Docker Hub.
const HUB_KEY: &str = "https://index.docker.io/v1/";

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct DockerConfig {
    auths: BTreeMap<String, Entry>,
    creds_store: Option<String>,
    cred_helpers: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// Where Docker's config.json is, by the variables `DOCKER_CONFIG` and `HOME`.
pub fn docker_config_path(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let set = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let dir = set("DOCKER_CONFIG").or_else(|| Some(set("HOME")?.join(".docker")))?;
    Some(dir.join("config.json"))
}

pub(super) async fn credentials(registry: &str, config: Option<&Path>) -> Result<RegistryAuth, ImageError> {
    let invalid = |reason: String| ImageError::Credentials { registry: registry.to_owned(), reason };
    let Some(path) = config else { return Ok(RegistryAuth::Anonymous) };
    let shown = path.display();
    let bytes = match tokio::fs::File::open(path).await {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(RegistryAuth::Anonymous),
        Err(error) => return Err(invalid(format!("{shown}: {error}"))),
        Ok(file) => {
            let mut bytes = Vec::new();
            let read = file.take(CONFIG_MAX).read_to_end(&mut bytes).await;
            read.map_err(|error| invalid(format!("{shown}: {error}")))?;
            bytes
        }
    };
    let config: DockerConfig =
        serde_json::from_slice(&bytes).map_err(|error| invalid(format!("{shown} is not valid: {error}")))?;
    let (key, entry) = config.entry(registry);
    let helper = config.cred_helpers.get(registry).or(config.creds_store.as_ref());
    match (helper, entry) {
        (Some(helper), _) => ask(helper, &key).await.map_err(invalid),
        (None, Some(entry)) => entry.read().map_err(|reason| invalid(format!("{shown}: {reason}"))),
        (None, None) => Ok(RegistryAuth::Anonymous),
    }
}

impl DockerConfig {
    /// Keys are hosts, or addresses from older days.
    fn entry(&self, registry: &str) -> (String, Option<&Entry>) {
        let host = |key: &str| {
            let key = key.trim_start_matches("https://").trim_start_matches("http://");
            key.split('/').next().unwrap_or_default().to_owned()
        };
        let is_ours = |key: &str| match registry {
            model::image::DEFAULT_REGISTRY => {
                ["index.docker.io", "docker.io", "registry-1.docker.io"].contains(&host(key).as_str())
            }
            registry => host(key) == registry,
        };
        let default = if registry == model::image::DEFAULT_REGISTRY { HUB_KEY } else { registry };
        match self.auths.iter().find(|(key, _)| is_ours(key)) {
            Some((key, entry)) => (key.clone(), Some(entry)),
            None => (default.to_owned(), None),
        }
    }
}

impl Entry {
    fn read(&self) -> Result<RegistryAuth, String> {
        let filled = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
        if let Some(token) = filled(&self.registrytoken) {
            return Ok(RegistryAuth::Bearer(token));
        }
        if filled(&self.identitytoken).is_some() {
            return Err("identity tokens are not supported; log in with a password or an access token".into());
        }
        if let (Some(username), Some(password)) = (filled(&self.username), filled(&self.password)) {
            return Ok(RegistryAuth::Basic(username, password));
        }
        let Some(auth) = filled(&self.auth) else { return Ok(RegistryAuth::Anonymous) };
        let decoded = STANDARD.decode(auth.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        // Docker pads with zero bytes when it encodes.
        let decoded = decoded.as_deref().map(|text| text.trim_end_matches('\0'));
        match decoded.and_then(|text| text.split_once(':')) {
            Some((username, password)) => Ok(RegistryAuth::Basic(username.to_owned(), password.to_owned())),
            None => Err("its `auth` is not the base64 of user:password".into()),
        }
    }
}

/// The protocol of docker-credential-helpers: the key on standard input, JSON on standard output.
async fn ask(helper: &str, key: &str) -> Result<RegistryAuth, String> {
    let is_name = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    if helper.is_empty() || !helper.bytes().all(is_name) {
        return Err(format!("{helper:?} is no name of a credential helper"));
    }
    let program = format!("docker-credential-{helper}");
    let failed = |error: std::io::Error| format!("{program} failed: {error}");
    let mut child = tokio::process::Command::new(&program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let talk = async {
        if let Some(mut stdin) = stdin {
            // A helper that ends without reading says so by its exit code.
            let _ = stdin.write_all(key.as_bytes()).await;
        }
        let mut answer = Vec::new();
        if let Some(stdout) = stdout {
            stdout.take(ANSWER_MAX).read_to_end(&mut answer).await?;
        }
        Ok((child.wait().await?, answer))
    };
    let talk = tokio::time::timeout(HELPER_TIMEOUT, talk).await;
    let (status, answer) = talk.map_err(|_| format!("{program} did not answer in time"))?.map_err(failed)?;
    if !status.success() {
        let text = String::from_utf8_lossy(&answer);
        return match text.contains("credentials not found") {
            true => Ok(RegistryAuth::Anonymous),
            false => Err(format!("{program} ended with {status}")),
        };
    }
    let answer: Answer =
        serde_json::from_slice(&answer).map_err(|_| format!("{program} gave no valid answer"))?;
    match answer.username.as_str() {
        "<token>" => {
            Err("identity tokens are not supported; log in with a password or an access token".into())
        }
        _ => Ok(RegistryAuth::Basic(answer.username, answer.secret)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn check(registry: &str, config: &str) -> Result<RegistryAuth, ImageError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        std::fs::write(&path, config).unwrap();
        credentials(registry, Some(&path)).await
    }

    #[tokio::test]
    async fn entries_are_found_and_read() {
        let basic = || RegistryAuth::Basic("me".into(), "a:b".into());
        let auth = STANDARD.encode("me:a:b");
        let with = |key: &str| format!(r#"{{"auths":{{"{key}":{{"auth":"{auth}"}}}},"other":1}}"#);
        assert_eq!(check("r.example", &with("r.example")).await.unwrap(), basic());
        assert_eq!(check("r.example", &with("https://r.example/v2/")).await.unwrap(), basic());
        assert_eq!(check("docker.io", &with(HUB_KEY)).await.unwrap(), basic());
        assert_eq!(check("127.0.0.1:5000", &with("127.0.0.1:5000")).await.unwrap(), basic());
        assert_eq!(check("other.example", &with("r.example")).await.unwrap(), RegistryAuth::Anonymous);
        assert_eq!(check("r.example", "{}").await.unwrap(), RegistryAuth::Anonymous);
        let split = r#"{"auths":{"r.example":{"username":"me","password":"a:b"}}}"#;
        assert_eq!(check("r.example", split).await.unwrap(), basic());
        assert_eq!(
            credentials("r", Some(Path::new("/nowhere/config.json"))).await.unwrap(),
            RegistryAuth::Anonymous
        );
    }

    #[tokio::test]
    async fn bad_configurations_say_what_is_wrong() {
        for (config, reason) in [
            ("{", "is not valid"),
            (r#"{"auths":{"r.example":{"auth":"%%"}}}"#, "base64 of user:password"),
            (r#"{"auths":{"r.example":{"identitytoken":"x"}}}"#, "identity tokens are not supported"),
            (r#"{"credsStore":"../sh"}"#, "no name of a credential helper"),
            (
                r#"{"credHelpers":{"r.example":"minke-test-not-installed"}}"#,
                "docker-credential-minke-test-not-installed failed",
            ),
        ] {
            let text = check("r.example", config).await.unwrap_err().to_string();
            assert!(text.contains(reason), "{text}");
            assert!(text.contains("r.example"), "{text}");
        }
    }

    #[test]
    fn the_file_is_where_docker_keeps_it() {
        let at = |pairs: &[(&str, &str)]| {
            docker_config_path(|name| {
                pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into())
            })
        };
        assert_eq!(at(&[("HOME", "/root")]), Some("/root/.docker/config.json".into()));
        assert_eq!(at(&[("HOME", "/root"), ("DOCKER_CONFIG", "/d")]), Some("/d/config.json".into()));
        assert_eq!(at(&[]), None);
    }
}
