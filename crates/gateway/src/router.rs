//! The contract on one screen: which path and method is what. It looks and decides nothing else.

use http::Method;

/// What a request is for. Names are in the charset of routes and not yet known to be valid.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Route<'a> {
    /// The function's own path is raw, as the client wrote it; `""` when it wrote none.
    Invoke {
        function: &'a str,
        path: &'a str,
    },
    System(System<'a>),
    Ui,
    Home,
    Health,
    OpenApi,
    /// The same path without `//`, `.` and `..`.
    Moved(String),
    /// What the path does allow, as the header `Allow` tells it.
    MethodNotAllowed(&'static str),
    NotFound,
}

/// The management calls; all of them ask for credentials.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum System<'a> {
    List,
    Deploy,
    Update,
    Delete,
    Get(&'a str),
    Scale(&'a str),
    ListSecrets,
    CreateSecret,
    UpdateSecret,
    DeleteSecret,
    Logs,
    Info,
    Namespaces,
    /// The name may be empty, here and in the three that follow: who creates one names it in the body.
    CreateNamespace(&'a str),
    Namespace(&'a str),
    UpdateNamespace(&'a str),
    DeleteNamespace(&'a str),
    Alert,
    Telemetry,
}

pub(crate) fn route<'a>(method: &Method, path: &'a str) -> Route<'a> {
    if let Some(called) = path.strip_prefix("/function/") {
        return invoke(called);
    }
    if let Some(cleaned) = cleaned(path) {
        return Route::Moved(cleaned);
    }
    let named = |prefix: &str| path.strip_prefix(prefix).filter(|name| is_name(name));
    match path {
        "/" => get(method, Route::Home),
        "/healthz" => get(method, Route::Health),
        "/openapi.json" => get(method, Route::OpenApi),
        "/system/functions" => match *method {
            Method::GET => Route::System(System::List),
            Method::POST => Route::System(System::Deploy),
            Method::PUT => Route::System(System::Update),
            Method::DELETE => Route::System(System::Delete),
            _ => Route::MethodNotAllowed("GET, POST, PUT, DELETE"),
        },
        "/system/secrets" => match *method {
            Method::GET => Route::System(System::ListSecrets),
            Method::POST => Route::System(System::CreateSecret),
            Method::PUT => Route::System(System::UpdateSecret),
            Method::DELETE => Route::System(System::DeleteSecret),
            _ => Route::MethodNotAllowed("GET, POST, PUT, DELETE"),
        },
        "/system/logs" => get(method, Route::System(System::Logs)),
        "/system/info" => get(method, Route::System(System::Info)),
        "/system/namespaces" => get(method, Route::System(System::Namespaces)),
        "/system/alert" if method == Method::POST => Route::System(System::Alert),
        "/system/alert" => Route::MethodNotAllowed("POST"),
        "/system/telemetry" => get(method, Route::System(System::Telemetry)),
        _ if path.starts_with("/ui/") => get(method, Route::Ui),
        _ => match (named("/system/function/"), named("/system/scale-function/")) {
            (Some(name), _) => get(method, Route::System(System::Get(name))),
            (_, Some(name)) if method == Method::POST => Route::System(System::Scale(name)),
            (_, Some(_)) => Route::MethodNotAllowed("POST"),
            (None, None) => match path.strip_prefix("/system/namespace/") {
                Some(name) if name.is_empty() || is_name(name) => namespace(method, name),
                _ => Route::NotFound,
            },
        },
    }
}

fn namespace<'a>(method: &Method, name: &'a str) -> Route<'a> {
    match *method {
        Method::GET => Route::System(System::Namespace(name)),
        Method::POST => Route::System(System::CreateNamespace(name)),
        Method::PUT => Route::System(System::UpdateNamespace(name)),
        Method::DELETE => Route::System(System::DeleteNamespace(name)),
        _ => Route::MethodNotAllowed("GET, POST, PUT, DELETE"),
    }
}

fn get<'a>(method: &Method, route: Route<'a>) -> Route<'a> {
    if method == Method::GET { route } else { Route::MethodNotAllowed("GET") }
}

fn invoke(called: &str) -> Route<'_> {
    let (function, path) = called.split_at(called.find('/').unwrap_or(called.len()));
    if is_name(function) { Route::Invoke { function, path } } else { Route::NotFound }
}

fn is_name(name: &str) -> bool {
    let known = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    !name.is_empty() && name.as_bytes().iter().all(known)
}

/// The path without empty, `.` and `..` segments, when it has any; a trailing slash stays.
fn cleaned(path: &str) -> Option<String> {
    let segments = path.strip_prefix('/')?;
    let last = segments.rsplit('/').next().unwrap_or_default();
    let inner = segments.strip_suffix('/').unwrap_or(segments);
    let odd = |segment: &str| matches!(segment, "" | "." | "..");
    if inner.is_empty() && segments.is_empty() || !inner.split('/').any(odd) {
        return None;
    }
    let mut kept = Vec::new();
    for segment in segments.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()),
            segment => kept.push(segment),
        }
    }
    let slash = if odd(last) && !kept.is_empty() { "/" } else { "" };
    Some(format!("/{}{slash}", kept.join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_methods_lead_to_routes() {
        let check = |method: &str, path: &str, want: Route<'_>| {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            assert_eq!(route(&method, path), want, "{method} {path}");
        };
        let invoke = |function: &'static str, path: &'static str| Route::Invoke { function, path };
        check("GET", "/function/env", invoke("env", ""));
        check("BREW", "/function/env/", invoke("env", "/"));
        check("POST", "/function/env.dev/a//b/../%2F", invoke("env.dev", "/a//b/../%2F"));
        check("GET", "/function/..", invoke("..", ""));
        for path in ["/function", "/function/", "/function//env", "/function/e%6Ev", "/function/a~b/c"] {
            check("GET", path, Route::NotFound);
        }
        check("GET", "/", Route::Home);
        check("POST", "/", Route::MethodNotAllowed("GET"));
        check("GET", "/healthz", Route::Health);
        check("HEAD", "/healthz", Route::MethodNotAllowed("GET"));
        check("GET", "/system/functions", Route::System(System::List));
        check("PATCH", "/system/functions", Route::MethodNotAllowed("GET, POST, PUT, DELETE"));
        check("GET", "/system/function/env", Route::System(System::Get("env")));
        check("POST", "/system/function/env", Route::MethodNotAllowed("GET"));
        check("POST", "/system/scale-function/env", Route::System(System::Scale("env")));
        check("GET", "/system/scale-function/env", Route::MethodNotAllowed("POST"));
        let all = || Route::MethodNotAllowed("GET, POST, PUT, DELETE");
        check("PUT", "/system/secrets", Route::System(System::UpdateSecret));
        check("PATCH", "/system/secrets", all());
        check("GET", "/system/logs", Route::System(System::Logs));
        check("HEAD", "/system/logs", Route::MethodNotAllowed("GET"));
        check("POST", "/system/namespace/", Route::System(System::CreateNamespace("")));
        check("GET", "/system/namespace/dev", Route::System(System::Namespace("dev")));
        check("DELETE", "/system/namespace/dev", Route::System(System::DeleteNamespace("dev")));
        check("PATCH", "/system/namespace/dev", all());
        check("POST", "/system/alert", Route::System(System::Alert));
        check("GET", "/system/alert", Route::MethodNotAllowed("POST"));
        check("GET", "/system/telemetry", Route::System(System::Telemetry));
        for path in
            ["/system/namespace", "/system/namespace/a/b", "/system/secrets/", "/system/namespace/a%62"]
        {
            check("POST", path, Route::NotFound);
        }
        check("GET", "/ui/index.html", Route::Ui);
        for path in
            ["/system/functions/", "/system/function/", "/system/function/a/b", "/ui", "/metrics", "*", ""]
        {
            check("GET", path, Route::NotFound);
        }
    }

    #[test]
    fn paths_are_cleaned_outside_of_functions() {
        let check = |path: &str, want: Option<&str>| assert_eq!(cleaned(path).as_deref(), want, "{path}");
        for clean in ["/", "/a", "/a/", "/a/b.c", "/a/..b/...", "*", ""] {
            check(clean, None);
        }
        check("//", Some("/"));
        check("/.", Some("/"));
        check("/../..", Some("/"));
        check("//evil.example/a", Some("/evil.example/a"));
        check("//system/functions", Some("/system/functions"));
        check("/system//functions/", Some("/system/functions/"));
        check("/a//", Some("/a/"));
        check("/a/./b", Some("/a/b"));
        check("/a/../b/..", Some("/"));
        check("/a/b/..", Some("/a/"));
    }
}
