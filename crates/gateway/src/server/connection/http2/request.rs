//! A request of HTTP/2, made into what the rest of the gateway knows from HTTP/1.1.

use http::header::{COOKIE, EXPECT, HOST};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Request, Uri};

use crate::error::ApiError;

/// Says the host in the one place where it is looked for; else tells why it cannot be served.
pub(super) fn admit<B>(mut request: Request<B>) -> Result<Request<B>, ApiError> {
    let uri = std::mem::take(request.uri_mut());
    let headers = request.headers_mut();
    if let Some(authority) = uri.authority() {
        if !says_the_same(headers, authority.as_str()) {
            return Err(refused("the host header is not what :authority says, send one of them"));
        }
        let host =
            HeaderValue::from_str(authority.as_str()).ok().filter(|_| !authority.as_str().contains('@'));
        let Some(host) = host else { return Err(refused(":authority is a host and a port, and no user")) };
        headers.insert(HOST, host);
    }
    join_cookies(headers);
    // The body comes at once: it is what the caller is told by reading it, and 100 is not sent on HTTP/2.
    headers.remove(EXPECT);
    *request.uri_mut() = Uri::from(uri.into_parts().path_and_query.unwrap_or(PathAndQuery::from_static("/")));
    Ok(request)
}

/// Each hop would choose its own.
fn says_the_same(headers: &HeaderMap, authority: &str) -> bool {
    headers.get_all(HOST).iter().all(|host| host.as_bytes().eq_ignore_ascii_case(authority.as_bytes()))
}

/// RFC 9113, 8.2.3: the crumbs of a cookie are one line in HTTP/1.
fn join_cookies(headers: &mut HeaderMap) {
    let crumbs: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if crumbs.len() > 1
        && let Ok(cookie) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..]))
    {
        headers.insert(COOKIE, cookie);
    }
}

fn refused(why: &str) -> ApiError {
    ApiError::Invalid(why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(uri: &str, headers: &[(&'static str, &'static str)]) -> Request<()> {
        let mut request = Request::builder().uri(uri).body(()).unwrap();
        for (name, value) in headers {
            request.headers_mut().append(*name, HeaderValue::from_static(value));
        }
        request
    }

    #[test]
    fn the_authority_is_the_host() {
        let check = |uri: &str, headers: &[(&'static str, &'static str)], host: Option<&str>| {
            let admitted = admit(request(uri, headers)).ok();
            let told = admitted.as_ref().map(|request| request.headers()[HOST].to_str().unwrap());
            assert_eq!(told, host, "{uri} {headers:?}");
            if let Some(request) = admitted {
                assert_eq!(request.headers().get_all(HOST).iter().count(), 1);
                assert_eq!(request.uri(), "/p%2F?q");
            }
        };
        check("http://a:1/p%2F?q", &[], Some("a:1"));
        check("https://a/p%2F?q", &[("host", "A")], Some("a"));
        check("/p%2F?q", &[("host", "b")], Some("b"));
        check("http://a/", &[("host", "b")], None);
        check("http://a/", &[("host", "a"), ("host", "b")], None);
        check("http://u@a/", &[], None);
    }

    #[test]
    fn crumbs_are_one_cookie_again() {
        let crumbs = [("cookie", "a=1"), ("cookie", "b=2; c=3"), ("expect", "100-continue")];
        let admitted = admit(request("http://a/", &crumbs)).ok().unwrap();
        let cookies: Vec<_> = admitted.headers().get_all(COOKIE).iter().collect();
        assert_eq!(cookies, ["a=1; b=2; c=3"]);
        assert!(!admitted.headers().contains_key(EXPECT));
    }
}
