use http::Method;
use model::{FunctionId, Namespace};

use super::*;

fn rule(host: &str, path: &str, function: &str) -> DomainRule {
    let function = FunctionId::parse(function, &Namespace::default()).unwrap();
    DomainRule { host: host.into(), path: path.into(), function, keep_path: false }
}

fn domains(rules: &[(&str, &str, &str)]) -> Domains {
    let domains = Domains::default();
    domains.replace(rules.iter().map(|(host, path, function)| rule(host, path, function)).collect()).unwrap();
    domains
}

/// Where a request goes: a function and what it sees, `404`, or the ordinary routes.
fn led(domains: &Domains, host: &str, target: &str) -> String {
    let request = Request::builder().method(Method::GET).uri(target).header(HOST, host).body(()).unwrap();
    let found = domains.find(&request);
    match found.as_ref().map(|mapped| mapped.route(request.uri().path())) {
        None => "ordinary".into(),
        Some(Route::Invoke { function, path }) => format!("{function} {path}"),
        Some(_) => "404".into(),
    }
}

#[test]
fn host_and_path_lead_to_a_function() {
    let domains = domains(&[
        ("Api.example.com", "/", "home"),
        ("api.example.com", "/v1/orders/", "orders.shop"),
        ("api.example.com", "/v1", "v1"),
        ("shop.example.com", "/buy", "buy"),
        ("*.example.com", "/", "any"),
    ]);
    let check = |host: &str, target: &str, want: &str| {
        assert_eq!(led(&domains, host, target), want, "{host} {target}");
    };
    check("api.example.com", "/", "home.openfaas-fn /");
    check("API.EXAMPLE.COM:8443", "/a//b%2F?q=1", "home.openfaas-fn /a//b%2F");
    check("api.example.com.", "/v1x", "home.openfaas-fn /v1x");
    check("api.example.com", "/v1", "v1.openfaas-fn ");
    check("api.example.com", "/v1/", "v1.openfaas-fn /");
    check("api.example.com", "/v1/ordersx", "v1.openfaas-fn /ordersx");
    check("api.example.com", "/v1/orders", "orders.shop ");
    check("api.example.com", "/v1/orders/7/../8", "orders.shop /7/../8");
    check("api.example.com", "/system/functions", "home.openfaas-fn /system/functions");
    check("shop.example.com", "/buy/it", "buy.openfaas-fn /it");
    for path in ["/", "/system/functions", "/function/buy", "/healthz", "/b%75y", "/BUY"] {
        check("shop.example.com", path, "404");
    }
    check("other.example.com", "/x", "any.openfaas-fn /x");
    for host in
        ["a.b.example.com", "example.com", "127.0.0.1:8080", "[::1]:8080", "api.example.com:x", "a@b", ""]
    {
        check(host, "/", "ordinary");
    }
    check(&"a".repeat(400), "/", "ordinary");
    // The request line is stronger than the header.
    check("elsewhere", "http://shop.example.com:80/buy", "buy.openfaas-fn ");
    check("shop.example.com", "http://elsewhere/buy", "ordinary");
}

#[test]
fn a_path_is_kept_when_it_is_wished() {
    let domains = Domains::default();
    domains.replace(vec![DomainRule { keep_path: true, ..rule("a.b", "/v1", "f") }]).unwrap();
    assert_eq!(led(&domains, "a.b", "/v1/x"), "f.openfaas-fn /v1/x");
}

#[test]
fn a_map_is_replaced_whole() {
    let domains = domains(&[("a.b", "/", "f")]);
    domains.replace(vec![rule("c.d", "/", "g")]).unwrap();
    assert_eq!(led(&domains, "a.b", "/"), "ordinary");
    assert_eq!(led(&domains, "c.d", "/"), "g.openfaas-fn /");
    domains.replace(vec![rule("c.d:1", "/", "g")]).unwrap_err();
    assert_eq!(led(&domains, "c.d", "/"), "g.openfaas-fn /", "a wrong map changes nothing");
    domains.replace(Vec::new()).unwrap();
    assert_eq!(led(&domains, "c.d", "/"), "ordinary");
}

#[test]
fn what_cannot_be_mapped_is_refused() {
    let check = |rules: Vec<DomainRule>, part: &str| {
        let message = Domains::default().replace(rules).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    };
    let long = "a".repeat(64);
    for host in ["", "*", "*.", "a..b", "a.*.b", "-a.b", "a b", "a.b:80", "http://a.b", "ä.b", &long] {
        check(vec![rule(host, "/", "f")], "is not a host to map");
    }
    for path in ["", "v1", "//", "/a//b", "/a?b", "/a#b", "/../a", "/a/./b", "/ä", "/a b"] {
        check(vec![rule("a.b", path, "f")], "is not a path to map");
    }
    check(vec![rule("a.b", "/x", "f"), rule("A.B", "/x/", "g")], "mapped twice");
    check((0..=RULES_MAX).map(|n| rule("a.b", &format!("/{n}"), "f")).collect(), "more than 10000");
}
