//! The request target: nothing of it leads past the credentials, out of this gateway, or into another head.

use http::uri::PathAndQuery;
use http::{HeaderValue, Method};
use model::{FunctionId, Namespace};

use crate::function::target;
use crate::router::{Route, route as find};

/// `METHOD SP TARGET`, as a request line has it.
pub fn route(data: &[u8]) {
    let Some(space) = data.iter().position(|byte| *byte == b' ') else { return };
    let Ok(method) = Method::from_bytes(&data[..space]) else { return };
    let Ok(asked) = PathAndQuery::try_from(&data[space + 1..]) else { return };
    let path = asked.path();
    match find(&method, path) {
        Route::Invoke { function, path: rest } => {
            assert_eq!(path, format!("/function/{function}{rest}"));
            assert!(rest.is_empty() || rest.starts_with('/'), "{rest:?}");
            check_name(function);
            check_id(function);
            check_target(rest, asked.query());
        }
        Route::Moved(to) => {
            assert!(to.starts_with('/') && !to.starts_with("//"), "{path:?} leads to {to:?}");
            assert!(HeaderValue::from_str(&to).is_ok(), "{to:?}");
            // A client that follows is not sent on and on.
            assert!(!matches!(find(&method, &to), Route::Moved(_)), "{to:?}");
        }
        Route::MethodNotAllowed(allowed) => {
            for other in allowed.split(", ") {
                let other = Method::from_bytes(other.as_bytes()).expect("a method");
                assert_ne!(other, method);
                assert!(!matches!(find(&other, path), Route::MethodNotAllowed(_) | Route::NotFound));
            }
        }
        // What needs no credentials is these two paths.
        Route::Home => assert_eq!((path, method), ("/", Method::GET)),
        Route::Health => assert_eq!((path, method), ("/healthz", Method::GET)),
        _ => {}
    }
}

fn check_name(name: &str) {
    let known = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    assert!(!name.is_empty() && name.bytes().all(known), "{name:?}");
}

/// A name means one function, however it is written.
fn check_id(function: &str) {
    let default = Namespace::default();
    let Ok(id) = FunctionId::parse(function, &default) else { return };
    let full = id.to_string();
    assert!(full == function || full == format!("{function}.{default}"), "{function:?} means {full:?}");
    assert_eq!(FunctionId::parse(&full, &default).ok(), Some(id));
}

/// The function gets the bytes that were written, and no more than one line of them.
fn check_target(path: &str, query: Option<&str>) {
    let Some(uri) = target(path, query) else { panic!("no target for {path:?} and {query:?}") };
    assert_eq!(uri.path(), if path.is_empty() { "/" } else { path });
    assert_eq!(uri.query(), query);
    assert!(uri.authority().is_none(), "{uri}");
    let line = uri.path_and_query().expect("it has one").as_str();
    assert!(line.bytes().all(|byte| byte > b' ' && byte != 0x7f), "{line:?}");
}
