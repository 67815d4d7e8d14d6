//! Names that functions are called by from outside: which host and path leads to which function.
//!
//! A host that is in the map serves the functions that the map gives it, and nothing else: management, `/function/` and
//! the pages are not to be found under it.

mod rule;
mod site;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use http::Request;
use http::header::HOST;

use crate::router::Route;
use site::Site;

pub use rule::{DomainError, DomainRule};
pub(crate) use site::Target;

/// Longest name of a host, RFC 1035, section 2.3.4.
const HOST_MAX: usize = 253;
/// Rules of one map.
const RULES_MAX: usize = 10_000;

/// The map that is in force. Clones are the same one.
#[derive(Clone, Default)]
pub struct Domains(Arc<ArcSwapOption<Map>>);

impl Domains {
    /// Calls that are under way keep the function that they found; those that follow are led by `rules`.
    pub fn replace(&self, rules: Vec<DomainRule>) -> Result<(), DomainError> {
        let map = if rules.is_empty() { None } else { Some(Arc::new(Map::new(rules)?)) };
        self.0.store(map);
        Ok(())
    }

    /// What the request's host and path are mapped to; none when nobody maps the host.
    pub(crate) fn find<B>(&self, request: &Request<B>) -> Option<Mapped> {
        let map = self.0.load();
        let site = map.as_ref()?.site(host(request)?)?;
        Some(Mapped(site.target(request.uri().path())))
    }
}

impl fmt::Debug for Domains {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts = self.0.load().as_ref().map_or(0, |map| map.exact.len() + map.wildcard.len());
        f.debug_struct("Domains").field("hosts", &hosts).finish()
    }
}

/// A mapped host, and the function for the path when there is one.
pub(crate) struct Mapped(Option<Arc<Target>>);

impl Mapped {
    pub fn route<'a>(&'a self, path: &'a str) -> Route<'a> {
        match &self.0 {
            Some(target) => Route::Invoke { function: target.function(), path: target.rest(path) },
            None => Route::NotFound,
        }
    }
}

struct Map {
    exact: HashMap<Box<str>, Site>,
    /// By what follows `*.`.
    wildcard: HashMap<Box<str>, Site>,
}

impl Map {
    fn new(rules: Vec<DomainRule>) -> Result<Self, DomainError> {
        if rules.len() > RULES_MAX {
            return Err(DomainError::TooMany { max: RULES_MAX });
        }
        let mut map = Self { exact: HashMap::new(), wildcard: HashMap::new() };
        for rule in rules {
            let host = rule::host(&rule.host)?;
            let (hosts, name) = match host.strip_prefix("*.") {
                Some(parent) => (&mut map.wildcard, parent),
                None => (&mut map.exact, host.as_str()),
            };
            let target = Target::new(&rule, rule::path(&rule.path)?);
            if !hosts.entry(name.into()).or_default().add(target) {
                return Err(DomainError::Twice { host: rule.host, path: rule.path });
            }
        }
        Ok(map)
    }

    /// The host itself is stronger than a wildcard over it.
    fn site(&self, host: &str) -> Option<&Site> {
        let mut lower = [0; HOST_MAX];
        let lower = lower.get_mut(..host.len())?;
        lower.copy_from_slice(host.as_bytes());
        lower.make_ascii_lowercase();
        let host = std::str::from_utf8(lower).ok()?;
        self.exact.get(host).or_else(|| self.wildcard.get(host.split_once('.')?.1))
    }
}

/// The name alone: no port, no dot at its end.
fn host<B>(request: &Request<B>) -> Option<&str> {
    // RFC 9112, section 3.2.2: what the request line says is stronger than the header.
    let host = match request.uri().host() {
        Some(host) => host,
        None => without_port(request.headers().get(HOST)?.to_str().ok()?),
    };
    Some(host.strip_suffix('.').unwrap_or(host))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        // What is left of an IPv6 address without brackets would be no address.
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !name.contains(':') => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests;
