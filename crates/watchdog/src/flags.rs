//! The command line: Go's flag style, one or two dashes, `-x=true`. All else is configured by environment.

use std::ffi::OsString;

pub const USAGE: &str = "Usage of fwatchdog:
  -run-healthcheck
    \tcheck that the lock file exists, then exit
  -version
    \tprint the version, then exit
";

#[derive(Debug, PartialEq, Eq)]
pub enum Flags {
    Run,
    Version,
    Healthcheck,
    Help,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlagError {
    #[error("flag provided but not defined: -{0}")]
    Unknown(String),
    #[error("invalid boolean value {value:?} for -{flag}")]
    NotBool { flag: String, value: String },
}

/// As in Go, reading stops at the first word that is not a flag.
pub fn parse(words: impl Iterator<Item = OsString>) -> Result<Flags, FlagError> {
    let (mut version, mut healthcheck) = (false, false);
    for word in words {
        let word = word.to_string_lossy().into_owned();
        let Some(flag) = word.strip_prefix("--").or_else(|| word.strip_prefix('-')) else { break };
        if flag.is_empty() {
            break;
        }
        let (name, value) = flag.split_once('=').unwrap_or((flag, "true"));
        let switch = match name {
            "version" => &mut version,
            "run-healthcheck" => &mut healthcheck,
            "h" | "help" => return Ok(Flags::Help),
            _ => return Err(FlagError::Unknown(name.to_owned())),
        };
        *switch = crate::config::parse_go_bool(value)
            .ok_or_else(|| FlagError::NotBool { flag: name.to_owned(), value: value.to_owned() })?;
    }
    Ok(match (version, healthcheck) {
        (true, _) => Flags::Version,
        (_, true) => Flags::Healthcheck,
        _ => Flags::Run,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_style_flags_are_read() {
        let check = |words: &str, expected: Result<Flags, FlagError>| {
            assert_eq!(parse(words.split_whitespace().map(OsString::from)), expected, "{words}");
        };
        check("", Ok(Flags::Run));
        check("-version", Ok(Flags::Version));
        check("--version", Ok(Flags::Version));
        check("--version=false", Ok(Flags::Run));
        check("-run-healthcheck=true", Ok(Flags::Healthcheck));
        check("word -version", Ok(Flags::Run));
        check("-h", Ok(Flags::Help));
        check("--nope", Err(FlagError::Unknown("nope".into())));
        check("-version=maybe", Err(FlagError::NotBool { flag: "version".into(), value: "maybe".into() }));
    }
}
