//! Requests that are not calls: the management API and the queue's front. Whatever clients send, the labels are of a
//! fixed set.

use std::time::Instant;

use http::{Method, StatusCode};

use super::CLIENT_LEFT;
use super::histogram::Codes;

/// Values of the label `path`; the last one stands for every other path below `/system/`.
const PATHS: [&str; 12] = [
    "/system/functions",
    "/system/function/{name}",
    "/system/scale-function/{name}",
    "/system/secrets",
    "/system/logs",
    "/system/info",
    "/system/namespaces",
    "/system/namespace/{name}",
    "/system/alert",
    "/system/telemetry",
    "/async-function/{name}",
    "/system/{other}",
];
/// Values of the label `method`; the last one stands for every other.
const METHODS: [&str; 8] = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "OTHER"];

#[derive(Default)]
pub(super) struct Requests([[Codes; METHODS.len()]; PATHS.len()]);

/// One request: begun when made, complete when dropped.
pub(crate) struct Request<'a> {
    codes: &'a Codes,
    begun: Instant,
    code: u16,
}

impl Requests {
    /// None for a path that is not counted here.
    pub fn observe(&self, method: &Method, path: &str) -> Option<Request<'_>> {
        let method = METHODS.iter().position(|known| *known == method.as_str()).unwrap_or(METHODS.len() - 1);
        let codes = &self.0[template(path)?][method];
        Some(Request { codes, begun: Instant::now(), code: CLIENT_LEFT })
    }

    /// What there is, with its path and its method.
    pub fn each(&self) -> impl Iterator<Item = (&'static str, &'static str, &Codes)> {
        PATHS.iter().zip(&self.0).flat_map(|(path, methods)| {
            METHODS.iter().zip(methods).map(move |(method, codes)| (*path, *method, codes))
        })
    }
}

impl Request<'_> {
    pub fn answered(mut self, status: StatusCode) {
        self.code = status.as_u16();
    }
}

impl Drop for Request<'_> {
    fn drop(&mut self) {
        self.codes.add(self.code, self.begun.elapsed());
    }
}

/// Where in [`PATHS`] a path is counted.
fn template(path: &str) -> Option<usize> {
    let of = |template: &str| match template.strip_suffix("{name}") {
        // What follows a queued function's name is the function's own path.
        Some(prefix) => {
            path.strip_prefix(prefix)
                .is_some_and(|name| !name.is_empty() && (prefix == "/async-function/" || !name.contains('/')))
                || prefix == "/system/namespace/" && path == prefix
        }
        None => path == template,
    };
    let other = || path.starts_with("/system/").then_some(PATHS.len() - 1);
    PATHS.iter().position(|template| of(template)).or_else(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_templates() {
        let check = |path: &str, want: Option<&str>| {
            assert_eq!(template(path).map(|at| PATHS[at]), want, "{path}");
        };
        check("/system/functions", Some("/system/functions"));
        check("/system/functions/", Some("/system/{other}"));
        check("/system/function/a", Some("/system/function/{name}"));
        check("/system/function/a/b", Some("/system/{other}"));
        check("/system/namespace/", Some("/system/namespace/{name}"));
        check("/system/namespace/dev", Some("/system/namespace/{name}"));
        check("/async-function/a/b/c", Some("/async-function/{name}"));
        check("/async-function/", None);
        for path in ["/", "/function/a", "/healthz", "/system", "", "*"] {
            check(path, None);
        }
    }

    #[test]
    fn labels_are_of_a_fixed_set() {
        let requests = Requests::default();
        for n in 0..1000 {
            let method = Method::from_bytes(format!("M{n}").as_bytes()).unwrap();
            let request = requests.observe(&method, &format!("/system/{n}")).unwrap();
            request.answered(StatusCode::NOT_FOUND);
        }
        let counted: Vec<_> = requests.each().filter(|(_, _, codes)| codes.count() > 0).collect();
        let [(path, method, codes)] = counted[..] else { panic!("{} series", counted.len()) };
        assert_eq!((path, method, codes.count()), ("/system/{other}", "OTHER", 1000));
    }
}
