//! Answers that prove to an ACME server that a name leads here (RFC 8555, section 8.3).

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response};
use provider::Body;

const PREFIX: &str = "/.well-known/acme-challenge/";

/// What is asked for while a certificate is ordered. Clones are the same one.
#[derive(Clone, Default)]
pub struct Challenges(Arc<ArcSwapOption<HashMap<String, String>>>);

impl Challenges {
    /// From now on `token` is answered with `answer`, until what is returned is dropped.
    pub fn answer(&self, token: &str, answer: &str) -> Answering {
        self.change(|known| drop(known.insert(token.to_owned(), answer.to_owned())));
        Answering { challenges: self.clone(), token: token.to_owned() }
    }

    /// The answer, when one is due; asked for each request, and nothing but a look while no order is under way.
    pub(crate) fn find<B>(&self, request: &Request<B>) -> Option<Response<Body>> {
        let known = self.0.load();
        let token = request.uri().path().strip_prefix(PREFIX);
        let answer = known.as_ref()?.get(token?)?;
        if request.method() != Method::GET {
            return None;
        }
        let mut response = Response::new(Body::from(answer.clone()));
        let kind = HeaderValue::from_static("application/octet-stream");
        response.headers_mut().insert(CONTENT_TYPE, kind);
        Some(response)
    }

    fn change(&self, change: impl Fn(&mut HashMap<String, String>)) {
        self.0.rcu(|known| {
            let mut known = known.as_deref().cloned().unwrap_or_default();
            change(&mut known);
            if known.is_empty() { None } else { Some(Arc::new(known)) }
        });
    }
}

impl fmt::Debug for Challenges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Challenges").finish_non_exhaustive()
    }
}

/// A challenge that is answered as long as this lives.
#[must_use]
pub struct Answering {
    challenges: Challenges,
    token: String,
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.challenges.change(|known| drop(known.remove(&self.token)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answered_while_it_is_under_way() {
        let challenges = Challenges::default();
        let asked = |method: Method, path: &str| {
            let request = Request::builder().method(method).uri(path).body(()).unwrap();
            challenges.find(&request).is_some()
        };
        let path = "/.well-known/acme-challenge/token";
        assert!(!asked(Method::GET, path));
        let answering = challenges.answer("token", "token.thumb");
        assert!(asked(Method::GET, path));
        assert!(!asked(Method::POST, path));
        assert!(!asked(Method::GET, "/.well-known/acme-challenge/other"));
        drop(answering);
        assert!(!asked(Method::GET, path));
    }
}
