//! The flags that several commands share, and how their values are read.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PathBufValueParser, TypedValueParser};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, Args, Command};
use model::duration::parse_go_duration;
use model::{FunctionId, Namespace, env};

use crate::client::ConnectOptions;
use crate::error::Failure;

#[derive(Debug, Clone, Default, Args)]
pub struct GatewayFlags {
    /// Where the gateway is; else the stack file says, else OPENFAAS_URL, else http://127.0.0.1:8080
    #[arg(short, long, value_name = "URL")]
    pub gateway: Option<String>,
    /// Accept any TLS certificate
    #[arg(long)]
    pub tls_no_verify: bool,
    /// Send this bearer token instead of the saved login
    #[arg(short = 'k', long, value_name = "TOKEN", hide_env_values = true)]
    pub token: Option<String>,
}

#[derive(Debug, Clone, Default, Args)]
pub struct NamespaceFlag {
    /// Namespace of the function [default: the gateway's own, openfaas-fn]
    #[arg(short, long = "namespace", value_name = "NAMESPACE", hide_default_value = true)]
    namespace: Option<String>,
}

#[derive(Debug, Clone, Args)]
pub struct StackFlags {
    /// Stack file [default: stack.yaml or stack.yml, when there is one]
    #[arg(short = 'f', long = "yaml", value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Only functions of the stack file whose name matches; '*' stands for anything
    #[arg(long, value_name = "WILDCARD", conflicts_with = "regex")]
    pub filter: Option<String>,
    /// Only functions of the stack file whose name matches this regular expression
    #[arg(long, value_name = "REGEX")]
    pub regex: Option<String>,
    /// Replace ${VARIABLE} in the stack file
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "true",
          default_missing_value = "true", action = ArgAction::Set, value_parser = boolean, hide_default_value = true)]
    pub envsubst: bool,
}

#[derive(Debug, Clone, Args)]
pub struct DataDirFlag {
    /// Folder of the platform's data, as given to `minke up`
    #[arg(long, value_name = "DIR", env = env::DATA_DIR, default_value = DATA_DIR, value_parser = DataDirParser)]
    pub data_dir: PathBuf,
}

/// A path; a variable that is empty is as good as none, as for `minke up`.
#[derive(Debug, Clone)]
struct DataDirParser;

impl TypedValueParser for DataDirParser {
    type Value = PathBuf;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<PathBuf, clap::Error> {
        PathBufValueParser::new().parse_ref(command, arg, value)
    }

    fn parse_ref_(
        &self,
        command: &Command,
        arg: Option<&Arg>,
        value: &OsStr,
        source: ValueSource,
    ) -> Result<PathBuf, clap::Error> {
        match source == ValueSource::EnvVariable && value.is_empty() {
            true => Ok(PathBuf::from(DATA_DIR)),
            false => self.parse_ref(command, arg, value),
        }
    }
}

/// Where the platform keeps everything unless it is told otherwise.
pub const DATA_DIR: &str = "/var/lib/minke";

impl NamespaceFlag {
    /// How to connect so that a namespace that was named is sent, in the flag or as part of a function's name.
    pub fn options(&self, name: Option<&str>) -> ConnectOptions {
        let in_flag = self.namespace.as_deref().is_some_and(|text| !text.is_empty());
        let namespace_stated = in_flag || name.is_some_and(|name| name.contains('.'));
        ConnectOptions { namespace_stated, ..ConnectOptions::default() }
    }

    /// `None` when the gateway shall choose.
    pub fn get(&self) -> Result<Option<Namespace>, Failure> {
        let text = self.namespace.as_deref().filter(|text| !text.is_empty());
        text.map(|text| Namespace::parse(text).map_err(Failure::usage)).transpose()
    }

    /// The function that `name` or `name.namespace` means; `fallback` is for when nobody names a namespace.
    pub fn function(&self, name: &str, fallback: &Namespace) -> Result<(FunctionId, bool), Failure> {
        let flag = self.get()?;
        let id = FunctionId::parse(name, flag.as_ref().unwrap_or(fallback)).map_err(Failure::usage)?;
        match &flag {
            Some(flag) if *flag != id.namespace => Err(Failure::usage(format_args!(
                "{name} names the namespace {}, and --namespace names {flag}; leave one out",
                id.namespace
            ))),
            _ => Ok((id, flag.is_some() || name.contains('.'))),
        }
    }
}

/// Reads `KEY=value`; the value may be empty and may hold further `=`.
pub fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write it as KEY=value".to_owned()),
    }
}

/// A duration as Go writes it: `90s`, `1m30s`, `2h`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let duration = parse_go_duration(text).filter(|duration| !duration.is_zero());
    duration.ok_or_else(|| "write a duration like 30s, 5m or 1h30m".to_owned())
}

/// The words that Go's flags take.
pub fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("write true or false".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_variable_names_no_data_folder() {
        let parse = |value: &str, source| {
            let value = OsStr::new(value);
            DataDirParser.parse_ref_(&Command::new("minke"), None, value, source).ok()
        };
        assert_eq!(parse("", ValueSource::EnvVariable), Some(PathBuf::from(DATA_DIR)));
        assert_eq!(parse("/x", ValueSource::EnvVariable), Some(PathBuf::from("/x")));
        assert_eq!(parse("/x", ValueSource::CommandLine), Some(PathBuf::from("/x")));
        assert_eq!(parse("", ValueSource::CommandLine), None);
    }

    #[test]
    fn pairs_split_at_the_first_equals_sign() {
        let check = |text: &str, want: Option<(&str, &str)>| {
            let got = key_value(text).ok();
            assert_eq!(got, want.map(|(k, v)| (k.to_owned(), v.to_owned())), "{text}");
        };
        check("A=b", Some(("A", "b")));
        check("A=", Some(("A", "")));
        check("A=b=c", Some(("A", "b=c")));
        check("A", None);
        check("=b", None);
        check("", None);
    }
}
