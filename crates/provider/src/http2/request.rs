//! The head of a request, as HTTP/2 has it.

use http::header::{CONNECTION, CONTENT_TYPE, EXPECT, HOST, TE, TRANSFER_ENCODING, UPGRADE};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri, Version};

/// What HTTP/2 forbids (RFC 9113, 8.2.2) or says in another place; and `Expect`, for the body goes at once.
const REMOVED: [HeaderName; 7] = [
    CONNECTION,
    EXPECT,
    HOST,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TRANSFER_ENCODING,
    UPGRADE,
];
const TRAILERS: HeaderValue = HeaderValue::from_static("trailers");

/// The parts stay, for the request may have to go elsewhere.
pub(super) fn head(parts: &Parts, authority: &Authority) -> Request<()> {
    let mut head = Request::new(());
    *head.version_mut() = Version::HTTP_2;
    *head.method_mut() = parts.method.clone();
    let mut uri = http::uri::Parts::default();
    uri.scheme = Some(Scheme::HTTP);
    uri.authority = Some(authority.clone());
    uri.path_and_query = Some(parts.uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/")));
    // All three parts are there, which is what it fails without.
    *head.uri_mut() = Uri::from_parts(uri).unwrap_or_default();
    let mut headers = parts.headers.clone();
    for name in &REMOVED {
        headers.remove(name);
    }
    let trailers = is_grpc(&headers) || headers.get_all(TE).iter().any(|te| te == TRAILERS);
    headers.remove(TE);
    if trailers {
        // gRPC servers may refuse a call without it.
        headers.insert(TE, TRAILERS);
    }
    *head.headers_mut() = headers;
    head
}

/// `application/grpc`, and what may follow it: `+proto`, `;`, `-web`.
fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_http2_forbids_goes_and_the_target_stays() {
        let request = Request::builder()
            .method("POST")
            .uri("/a%2Fb//?q=%20")
            .header("host", "elsewhere")
            .header("connection", "te")
            .header("upgrade", "websocket")
            .header("keep-alive", "5")
            .header("transfer-encoding", "chunked")
            .header("expect", "100-continue")
            .header("te", "gzip")
            .header("x-kept", "1");
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let head = head(&parts, &Authority::from_static("f:8080"));
        assert_eq!(head.uri(), "http://f:8080/a%2Fb//?q=%20");
        let names: Vec<_> = head.headers().keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["x-kept"]);
    }

    #[test]
    fn trailers_are_asked_for_where_they_are_wanted() {
        let check = |name: &str, value: &str, asked: bool| {
            let request = Request::builder().header(name, value).body(()).unwrap();
            let head = head(&request.into_parts().0, &Authority::from_static("f"));
            assert_eq!(head.headers().get("te").is_some_and(|te| te == "trailers"), asked, "{name}: {value}");
        };
        check("te", "trailers", true);
        check("te", "gzip", false);
        check("content-type", "application/grpc", true);
        check("content-type", "application/grpc+proto", true);
        check("content-type", "application/json", false);
    }
}
