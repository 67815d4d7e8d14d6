//! One mapped host: its paths and whose they are.

use std::sync::Arc;

use super::DomainRule;

/// The longest path first.
#[derive(Default)]
pub(super) struct Site(Vec<Arc<Target>>);

impl Site {
    /// False when the path is taken.
    pub fn add(&mut self, target: Target) -> bool {
        let longer = |known: &Arc<Target>| known.prefix.len() >= target.prefix.len();
        if self.0.iter().any(|known| known.prefix == target.prefix) {
            return false;
        }
        let at = self.0.iter().take_while(|known| longer(known)).count();
        self.0.insert(at, Arc::new(target));
        true
    }

    pub fn target(&self, path: &str) -> Option<Arc<Target>> {
        self.0.iter().find(|target| target.covers(path)).cloned()
    }
}

/// A function and the path that is its own.
pub(crate) struct Target {
    /// `""` for all paths.
    prefix: Box<str>,
    function: Box<str>,
    keep_path: bool,
}

impl Target {
    pub(super) fn new(rule: &DomainRule, prefix: &str) -> Self {
        let function = rule.function.to_string().into();
        Self { prefix: prefix.into(), function, keep_path: rule.keep_path }
    }

    /// As it stands in a path: `name.namespace`.
    pub fn function(&self) -> &str {
        &self.function
    }

    /// What the function is to see of the raw path.
    pub fn rest<'a>(&self, path: &'a str) -> &'a str {
        if self.keep_path { path } else { &path[self.prefix.len()..] }
    }

    fn covers(&self, path: &str) -> bool {
        path.strip_prefix(&*self.prefix).is_some_and(|rest| match rest.as_bytes().first() {
            None => !self.prefix.is_empty(),
            Some(next) => *next == b'/',
        })
    }
}
