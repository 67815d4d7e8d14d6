use std::collections::BTreeMap;

use super::*;
use crate::config::{Config, Flags};

fn with(tls: TlsFlags, variables: &[(&str, &str)]) -> Result<Option<TlsSettings>, String> {
    let variables: BTreeMap<String, String> =
        variables.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let config = Config::resolve(Flags { tls, ..Flags::default() }, &variables);
    config.map(|config| config.tls).map_err(|error| error.to_string())
}

fn flags() -> TlsFlags {
    TlsFlags::default()
}

#[test]
fn nothing_is_secured_unless_it_is_wished() {
    assert_eq!(with(flags(), &[]), Ok(None));
    let pair = [("MINKE_TLS_CERT", "/c"), ("MINKE_TLS_KEY", "/k")];
    let settings = with(flags(), &pair).unwrap().unwrap();
    assert_eq!(settings.listen.to_string(), "127.0.0.1:8443");
    assert_eq!(settings.files, Some(CertificateFiles { certificate: "/c".into(), key: "/k".into() }));
    let settings = with(TlsFlags { tls_cert: Some("/d".into()), ..flags() }, &pair).unwrap().unwrap();
    assert_eq!(settings.files.unwrap().certificate, PathBuf::from("/d"));
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let check = |tls: TlsFlags, variables: &[(&str, &str)], part: &str| {
        let told = with(tls, variables).unwrap_err();
        assert!(told.contains(part), "{told}");
    };
    check(flags(), &[("MINKE_TLS_CERT", "/c")], "give --tls-key too");
    check(flags(), &[("MINKE_TLS_KEY", "/k")], "give --tls-cert too");
    check(flags(), &[("MINKE_TLS_LISTEN", "127.0.0.1:1")], "--tls-listen is for TLS");
    check(flags(), &[("MINKE_TLS_LISTEN", "1")], "is not an address like");
}
