//! The logins that `faas-cli` and we share: `~/.openfaas/config.yml` (contract 1.4).

use std::path::{Path, PathBuf};

use model::env::openfaas::{CI, OPENFAAS_CONFIG};
use serde::Deserialize;

use crate::error::Failure;
use crate::files;

/// Largest file that is read.
const FILE_MAX: u64 = 1024 * 1024;

#[derive(Debug)]
pub struct Logins {
    path: PathBuf,
    dir_mode: u32,
    file: LoginFile,
}

#[derive(Debug, Default, Deserialize)]
struct LoginFile {
    #[serde(default)]
    auths: Option<Vec<Login>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Login {
    pub gateway: String,
    #[serde(rename = "auth")]
    pub kind: LoginKind,
    /// Base64 of `user:password`, or the raw bearer token.
    #[serde(default)]
    pub token: String,
    #[serde(default)]
    options: Option<Vec<LoginOption>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LoginKind {
    Basic,
    OAuth2,
}

/// Kept for the tools that wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct LoginOption {
    name: String,
    #[serde(default)]
    value: String,
}

impl Logins {
    /// The file of this user; none is the same as an empty one.
    pub fn load() -> Result<Self, Failure> {
        let (dir, dir_mode) = folder()?;
        Self::load_from(dir.join("config.yml"), dir_mode)
    }

    fn load_from(path: PathBuf, dir_mode: u32) -> Result<Self, Failure> {
        let text = match files::read_text(&path, FILE_MAX) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => {
                return Err(Failure::usage(format_args!("failed to read {}: {error}", path.display())));
            }
        };
        let blank =
            text.lines().all(|line| matches!(line.trim(), "" | "---") || line.trim().starts_with('#'));
        let file = if blank { LoginFile::default() } else { parse(&path, &text)? };
        Ok(Self { path, dir_mode, file })
    }

    /// The login for a gateway, by its exact address; `faas-cli` writes addresses in lower case throughout.
    pub fn find(&self, gateway: &str) -> Option<&Login> {
        let by = |address: &str| self.entries().iter().find(|login| login.gateway == address);
        by(gateway).or_else(|| by(&gateway.to_lowercase()))
    }

    /// Keeps one login for a gateway, in the place of any other.
    pub fn put(&mut self, gateway: &str, kind: LoginKind, token: String) {
        let login = Login { gateway: gateway.to_owned(), kind, token, options: None };
        let auths = self.file.auths.get_or_insert_default();
        match auths.iter_mut().find(|login| login.gateway == gateway) {
            Some(known) => *known = Login { options: known.options.take(), ..login },
            None => auths.push(login),
        }
    }

    /// Forgets the login for a gateway; false when there is none.
    pub fn remove(&mut self, gateway: &str) -> bool {
        let Some(found) = self.find(gateway).map(|login| login.gateway.clone()) else { return false };
        self.file.auths.get_or_insert_default().retain(|login| login.gateway != found);
        true
    }

    pub fn save(&self) -> Result<(), Failure> {
        files::replace_private(&self.path, self.dir_mode, &self.to_yaml()).map_err(|error| {
            Failure::general(format_args!("failed to write {}: {error}", self.path.display()))
        })
    }

    fn entries(&self) -> &[Login] {
        self.file.auths.as_deref().unwrap_or_default()
    }

    /// The bytes that `faas-cli` would write.
    fn to_yaml(&self) -> String {
        if self.entries().is_empty() {
            return "auths: []\n".to_owned();
        }
        let mut yaml = "auths:\n".to_owned();
        for login in self.entries() {
            let kind = match login.kind {
                LoginKind::Basic => "basic",
                LoginKind::OAuth2 => "oauth2",
            };
            let (gateway, token) = (scalar(&login.gateway), scalar(&login.token));
            yaml += &format!("  - gateway: {gateway}\n    auth: {kind}\n    token: {token}\n");
            let options = login.options.as_deref().unwrap_or_default();
            if !options.is_empty() {
                yaml += "    options:\n";
            }
            for option in options {
                let (name, value) = (scalar(&option.name), scalar(&option.value));
                yaml += &format!("      - name: {name}\n        value: {value}\n");
            }
        }
        yaml
    }
}

/// Where the file lives: `OPENFAAS_CONFIG`, else `./.openfaas` in a build service, else the user's own folder.
fn folder() -> Result<(PathBuf, u32), Failure> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let home = || std::env::home_dir().filter(|home| !home.as_os_str().is_empty());
    if let Some(dir) = variable(OPENFAAS_CONFIG) {
        let dir = PathBuf::from(dir);
        return match (dir.strip_prefix("~"), home()) {
            (Ok(rest), Some(home)) => Ok((home.join(rest), 0o700)),
            _ => Ok((dir, 0o700)),
        };
    }
    if variable(CI).is_some_and(|ci| ci == "true" || ci == "1") {
        return Ok((PathBuf::from(".openfaas"), 0o744));
    }
    let home = home().ok_or_else(|| {
        Failure::usage(format_args!(
            "there is no home folder; set {OPENFAAS_CONFIG} to the folder for config.yml"
        ))
    })?;
    Ok((home.join(".openfaas"), 0o700))
}

fn parse(path: &Path, text: &str) -> Result<LoginFile, Failure> {
    // The parser's own message can quote the line, and the line can be a token.
    serde_saphyr::from_str(text).map_err(|error| {
        let line = error.location().map(|at| format!(", line {}", at.line())).unwrap_or_default();
        Failure::usage(format_args!(
            "{}{line}: it is not a list of logins; repair it, or remove it and log in again",
            path.display()
        ))
    })
}

/// A string as YAML, plain where that reads back as the same string.
fn scalar(text: &str) -> String {
    let plain_char = |c: char| c.is_ascii_alphanumeric() || "-_./:+=@%,~".contains(c);
    // Letters that occur in no number of any notation.
    let no_number =
        text.contains(|c: char| c.is_ascii_alphabetic() && !"abcdefox".contains(c.to_ascii_lowercase()));
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic() || (c.is_ascii_digit() && no_number));
    let word = matches!(
        text.to_ascii_lowercase().as_str(),
        "null" | "true" | "false" | "yes" | "no" | "on" | "off" | "y" | "n"
    );
    if starts && !word && !text.ends_with(':') && text.chars().all(plain_char) {
        return text.to_owned();
    }
    // A JSON string is a YAML string.
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "auths:\n  - gateway: http://127.0.0.1:8080\n    auth: basic\n    token: YWRtaW46cHc=\n  \
                        - gateway: https://gw.example.com\n    auth: oauth2\n    token: abc.def\n    options:\n      \
                        - name: client_id\n        value: \"12\"\n";

    fn logins(text: &str) -> Logins {
        let file = parse(Path::new("config.yml"), text).expect("a login file");
        Logins { path: PathBuf::new(), dir_mode: 0o700, file }
    }

    #[test]
    fn what_was_read_is_written_back_byte_for_byte() {
        assert_eq!(logins(FILE).to_yaml(), FILE);
    }

    #[test]
    fn put_replaces_and_remove_forgets() {
        let mut logins = logins(FILE);
        logins.put("http://127.0.0.1:8080", LoginKind::Basic, "Yjpj".into());
        logins.put("http://x", LoginKind::OAuth2, "1234".into());
        assert_eq!(logins.entries().len(), 3);
        assert_eq!(logins.find("http://127.0.0.1:8080").map(|l| l.token.as_str()), Some("Yjpj"));
        assert!(logins.to_yaml().ends_with("  - gateway: http://x\n    auth: oauth2\n    token: \"1234\"\n"));
        assert!(logins.remove("http://x") && !logins.remove("http://x"));
        assert!(logins.remove("http://127.0.0.1:8080") && logins.remove("https://gw.example.com"));
        assert_eq!(logins.to_yaml(), "auths: []\n");
    }

    #[test]
    fn a_gateway_is_found_as_faas_cli_writes_it() {
        let logins = logins("auths:\n- gateway: https://gw/base\n  auth: basic\n  token: x\n");
        assert!(logins.find("https://gw/Base").is_some());
        assert!(logins.find("https://gw").is_none());
    }

    #[test]
    fn strings_stay_strings() {
        for (text, want) in [
            ("YWRtaW46cHc=", "YWRtaW46cHc="),
            ("0KHRg9C/0LXRgA==", "0KHRg9C/0LXRgA=="),
            ("0x1f", "\"0x1f\""),
            ("1e5", "\"1e5\""),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("", "\"\""),
            ("true", "\"true\""),
            ("1.5", "\"1.5\""),
            ("a: b", "\"a: b\""),
            ("a #b", "\"a #b\""),
            ("q\"\n", "\"q\\\"\\n\""),
        ] {
            assert_eq!(scalar(text), want);
        }
    }
}
