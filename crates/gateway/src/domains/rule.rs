//! One line of the map, as its owner writes it, and what of it is refused.

use model::FunctionId;

use super::HOST_MAX;

const PATH_MAX: usize = 1024;

/// `host` and everything under `path` is `function`'s.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainRule {
    /// A name, or `*.` and a name for all that are one label below it. Case does not matter.
    pub host: String,
    /// A raw path that begins with `/`; it ends where a segment ends.
    pub path: String,
    pub function: FunctionId,
    /// Whether the function sees the whole path, or what follows `path`.
    pub keep_path: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DomainError {
    #[error(
        "{host:?} is not a host to map; write a name like api.example.com, without port, or *.example.com for all below it"
    )]
    Host { host: String },
    #[error(
        "{path:?} is not a path to map; write one like /v1/orders: from '/', as clients write it, without '?'"
    )]
    Path { path: String },
    #[error("host {host} and path {path:?} are mapped twice; remove one of the two")]
    Twice { host: String, path: String },
    #[error("there are more than {max} domains in the map")]
    TooMany { max: usize },
}

/// In lower case, without a dot at the end.
pub(super) fn host(text: &str) -> Result<String, DomainError> {
    let refused = || DomainError::Host { host: text.chars().take(HOST_MAX).collect() };
    let host = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let name = host.strip_prefix("*.").unwrap_or(&host);
    let known = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(known)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if host.len() <= HOST_MAX && name.split('.').all(is_label) { Ok(host) } else { Err(refused()) }
}

/// Without the slash at the end, so that `/` is the empty one.
pub(super) fn path(text: &str) -> Result<&str, DomainError> {
    let written = |b: u8| b.is_ascii_graphic() && !matches!(b, b'?' | b'#' | b'"' | b'<' | b'>' | b'\\');
    // Clients do not send these, or servers resolve them differently.
    let odd = |segment: &str| matches!(segment, "." | "..");
    let path = text.strip_suffix('/').unwrap_or(text);
    let fits = text.starts_with('/')
        && path.len() <= PATH_MAX
        && path.bytes().all(written)
        && !path.contains("//")
        && !path.ends_with('/')
        && !path.split('/').any(odd);
    if fits { Ok(path) } else { Err(DomainError::Path { path: text.chars().take(PATH_MAX).collect() }) }
}
