use std::collections::BTreeMap;

use super::*;
use crate::config::{Config, Flags};

fn with(acme: AcmeFlags, variables: &[(&str, &str)]) -> Result<Option<AcmeSettings>, String> {
    let variables: BTreeMap<String, String> =
        variables.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let config = Config::resolve(Flags { acme, ..Flags::default() }, &variables);
    config.map(|config| config.tls.and_then(|tls| tls.acme)).map_err(|error| error.to_string())
}

fn flags() -> AcmeFlags {
    AcmeFlags::default()
}

#[test]
fn names_are_ordered_once() {
    assert_eq!(with(flags(), &[]), Ok(None));
    let acme = AcmeFlags {
        acme_domain: vec!["A.example.com".into(), "b.example.com.".into(), "a.example.com".into()],
        acme_agree_tos: true,
        ..flags()
    };
    let acme = with(acme, &[]).unwrap().unwrap();
    assert_eq!(acme.domains, ["a.example.com", "b.example.com"]);
    assert_eq!(acme.directory, DIRECTORY_DEFAULT);
    let variables = [("MINKE_ACME_DOMAIN", "a.example.com, b.example.com"), ("MINKE_ACME_AGREE_TOS", "true")];
    assert_eq!(with(flags(), &variables).unwrap().unwrap().domains.len(), 2);
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let check = |acme: AcmeFlags, variables: &[(&str, &str)], part: &str| {
        let told = with(acme, variables).unwrap_err();
        assert!(told.contains(part), "{told}");
    };
    check(flags(), &[("MINKE_ACME_EMAIL", "a@b.example")], "--acme-email is for the ACME server");
    check(flags(), &[("MINKE_ACME_EMAIL", "nobody")], "is not an e-mail address");
    check(flags(), &[("MINKE_ACME_AGREE_TOS", "1")], "--acme-agree-tos is for the ACME server");
    check(flags(), &[("MINKE_ACME_CA", "/ca.pem")], "--acme-ca is for the ACME server");
    for url in ["http://acme.example.com/", "https://", "https:///x", "https://u:p@acme.example.com/", "x"] {
        check(flags(), &[("MINKE_ACME_DIRECTORY", url)], "is not an address like https://");
    }
    let domain = |name: &str| AcmeFlags { acme_domain: vec![name.into()], acme_agree_tos: true, ..flags() };
    for name in
        ["*.example.com", "localhost", "127.0.0.1", "[::1]", "a_b.example", "a..b", "https://a.example"]
    {
        check(domain(name), &[], "is not a name like api.example.com");
    }
    check(AcmeFlags { acme_agree_tos: false, ..domain("a.example.com") }, &[], "read the terms of service");
    let many = (0..=DOMAINS_MAX).map(|n| format!("n{n}.example.com")).collect();
    check(AcmeFlags { acme_domain: many, acme_agree_tos: true, ..flags() }, &[], "more than 100 names");
}
