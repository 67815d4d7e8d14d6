//! The configuration: environment variables, read once, valid by construction.

mod upstream;

use std::time::Duration;

use model::duration::parse_duration;
use model::env::watchdog as name;

pub use upstream::UpstreamUrl;

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
const DEFAULT_START_TIMEOUT: Duration = Duration::from_secs(10);
const DEFAULT_LINE_MAX: usize = 65_536;
/// `log_buffer_size=-1` asks for lines without a limit; this is the one that memory sets.
const LINE_MAX: usize = 16 * 1024 * 1024;

#[derive(Debug)]
pub struct Config {
    pub port: u16,
    pub mode: ModeConfig,
    /// argv; the first word is never empty.
    pub command: Vec<String>,
    pub timeouts: Timeouts,
    /// `None`: leave as soon as no call is active.
    pub shutdown_delay: Option<Duration>,
    pub content_type: http::HeaderValue,
    pub suppress_lock: bool,
    /// 0 is no limit.
    pub max_inflight: usize,
    pub ready_path: Option<http::Uri>,
    pub log: LogConfig,
    /// What was read otherwise than written, for the log.
    pub warnings: Vec<String>,
}

#[derive(Debug)]
pub enum ModeConfig {
    Http { upstream: UpstreamUrl, buffer_body: bool, start_timeout: Duration },
    Streaming,
    Serializing,
}

impl ModeConfig {
    pub fn name(&self) -> &'static str {
        match self {
            ModeConfig::Http { .. } => "http",
            ModeConfig::Streaming => "streaming",
            ModeConfig::Serializing => "serializing",
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// Whole request, and idle connections; `None` is no limit.
    pub read: Option<Duration>,
    /// From the end of the request's header to the end of the response.
    pub write: Duration,
    /// One invocation; `None` is no limit.
    pub exec: Option<Duration>,
}

#[derive(Debug, Clone)]
pub struct LogConfig {
    pub prefix: bool,
    pub line_max: usize,
    pub call_id: bool,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error("mode {0:?} is not known; use http, streaming or serializing")]
    ModeUnknown(String),
    #[error("mode {mode} is not supported: {reason}; use http, streaming or serializing")]
    ModeUnsupported { mode: String, reason: &'static str },
    #[error("no function to run; set fprocess to its command line")]
    CommandMissing,
    #[error("fprocess {0:?} begins with a space, so its program has no name; remove the space")]
    CommandUnnamed(String),
    #[error("mode http needs upstream_url, such as http://127.0.0.1:5000")]
    UpstreamMissing,
    #[error("upstream_url {url:?} is not usable: {reason}; write it as http://127.0.0.1:5000")]
    Upstream { url: String, reason: &'static str },
    #[error("port {0:?} is not a port number; use 1 to 65535, or 0 for any free one")]
    Port(String),
    #[error("write_timeout must be above zero, since it also bounds the shutdown")]
    WriteTimeout,
    #[error("log_buffer_size {0:?} is not an integer; give the longest log line in bytes, or -1")]
    LogBufferSize(String),
    #[error("{name} holds a character that a header or path cannot carry: {value:?}")]
    Characters { name: &'static str, value: String },
    #[error("jwt_auth is not supported yet, and a function that asks for it must not run without it")]
    JwtAuth,
}

impl ConfigError {
    pub fn exit_code(&self) -> u8 {
        match self {
            ConfigError::ModeUnknown(_) | ConfigError::ModeUnsupported { .. } => 2,
            _ => 1,
        }
    }
}

impl Config {
    pub fn from_environment() -> Result<Self, ConfigError> {
        Self::read(&|name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
    }

    fn read(get: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let present = |name: &str| get(name).filter(|value| !value.is_empty());
        let mut warnings = Vec::new();
        let timeout = |name, default| get(name).and_then(|text| parse_duration(&text)).unwrap_or(default);
        let limit = |name| Some(timeout(name, DEFAULT_TIMEOUT)).filter(|limit| !limit.is_zero());

        let mode = read_mode(&present)?;
        let command = read_command(&present)?;
        if flag(get(name::JWT_AUTH)) {
            return Err(ConfigError::JwtAuth);
        }
        Ok(Self {
            port: match get(name::PORT) {
                None => 8080,
                Some(text) => text.parse().map_err(|_| ConfigError::Port(text))?,
            },
            mode,
            command,
            timeouts: Timeouts {
                read: limit(name::READ_TIMEOUT),
                write: limit(name::WRITE_TIMEOUT).ok_or(ConfigError::WriteTimeout)?,
                exec: limit(name::EXEC_TIMEOUT),
            },
            shutdown_delay: get(name::HEALTHCHECK_INTERVAL).and_then(|text| parse_duration(&text)),
            content_type: header_value(name::CONTENT_TYPE, present(name::CONTENT_TYPE))?,
            suppress_lock: flag(get(name::SUPPRESS_LOCK)),
            max_inflight: read_max_inflight(get(name::MAX_INFLIGHT), &mut warnings),
            ready_path: present(name::READY_PATH).map(ready_path).transpose()?,
            log: LogConfig {
                prefix: get(name::PREFIX_LOGS).and_then(|text| parse_go_bool(&text)).unwrap_or(true),
                line_max: read_line_max(get(name::LOG_BUFFER_SIZE))?,
                call_id: [name::LOG_CALLID, name::LOG_CALL_ID]
                    .iter()
                    .any(|name| get(name).and_then(|text| parse_go_bool(&text)).unwrap_or(false)),
            },
            warnings,
        })
    }
}

fn read_mode(present: &dyn Fn(&str) -> Option<String>) -> Result<ModeConfig, ConfigError> {
    let unsupported =
        |mode: &str, reason| Err(ConfigError::ModeUnsupported { mode: mode.to_owned(), reason });
    match present(name::MODE).as_deref().unwrap_or("streaming") {
        "streaming" => Ok(ModeConfig::Streaming),
        "serializing" => Ok(ModeConfig::Serializing),
        "http" => {
            let url = present(name::HTTP_UPSTREAM_URL).or_else(|| present(name::UPSTREAM_URL));
            let url = url.ok_or(ConfigError::UpstreamMissing)?;
            let start_timeout = present(name::UPSTREAM_START_TIMEOUT).and_then(|text| parse_duration(&text));
            Ok(ModeConfig::Http {
                upstream: UpstreamUrl::parse(&url).map_err(|reason| ConfigError::Upstream { url, reason })?,
                buffer_body: [name::BUFFER_HTTP, name::HTTP_BUFFER_REQ_BODY]
                    .iter()
                    .any(|name| flag(present(name))),
                start_timeout: start_timeout.unwrap_or(DEFAULT_START_TIMEOUT),
            })
        }
        "static" => unsupported("static", "this build serves no files"),
        "inproc" => unsupported("inproc", "it exists only inside a Go program that links the watchdog"),
        "afterburn" => unsupported("afterburn", "it was withdrawn"),
        other => Err(ConfigError::ModeUnknown(other.to_owned())),
    }
}

/// Split on each single space: no shell, no quotes, and two spaces in a row make an empty argument.
fn read_command(present: &dyn Fn(&str) -> Option<String>) -> Result<Vec<String>, ConfigError> {
    let line = present(name::FUNCTION_PROCESS).or_else(|| present(name::FPROCESS));
    let line = line.ok_or(ConfigError::CommandMissing)?;
    let command: Vec<String> = line.split(' ').map(str::to_owned).collect();
    if command[0].is_empty() {
        return Err(ConfigError::CommandUnnamed(line));
    }
    Ok(command)
}

fn read_max_inflight(text: Option<String>, warnings: &mut Vec<String>) -> usize {
    let Some(text) = text else { return 0 };
    let Ok(limit) = text.parse::<i64>() else {
        warnings.push(format!("max_inflight {text:?} is not an integer: no limit is set"));
        return 0;
    };
    usize::try_from(limit).unwrap_or(0)
}

fn read_line_max(text: Option<String>) -> Result<usize, ConfigError> {
    let Some(text) = text else { return Ok(DEFAULT_LINE_MAX) };
    let bytes: i64 = text.parse().map_err(|_| ConfigError::LogBufferSize(text))?;
    Ok(match usize::try_from(bytes) {
        Ok(0) => DEFAULT_LINE_MAX,
        Ok(bytes) => bytes.min(LINE_MAX),
        Err(_) => LINE_MAX,
    })
}

fn ready_path(path: String) -> Result<http::Uri, ConfigError> {
    let rooted = if path.starts_with('/') { path.clone() } else { format!("/{path}") };
    rooted.parse().map_err(|_| ConfigError::Characters { name: name::READY_PATH, value: path })
}

fn header_value(name: &'static str, value: Option<String>) -> Result<http::HeaderValue, ConfigError> {
    let Some(value) = value else {
        return Ok(http::HeaderValue::from_static("application/octet-stream"));
    };
    http::HeaderValue::from_str(&value).map_err(|_| ConfigError::Characters { name, value })
}

fn flag(text: Option<String>) -> bool {
    matches!(text.as_deref(), Some("true" | "1"))
}

/// Go's `strconv.ParseBool`.
pub fn parse_go_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
