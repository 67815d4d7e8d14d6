use super::*;

fn resolve(flags: Flags, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let variables = variables.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    Config::resolve(flags, &variables)
}

fn with_file(text: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    resolve(Flags { config: Some(file.path().to_owned()), ..Flags::default() }, variables)
}

#[test]
fn flag_beats_variable_beats_file_beats_default() {
    assert_eq!(resolve(Flags::default(), &[]).unwrap().listen.port(), 8080);
    let file = "listen: 127.0.0.1:1\nread-timeout: 5\n";
    assert_eq!(with_file(file, &[]).unwrap().listen.port(), 1);
    assert_eq!(with_file(file, &[]).unwrap().read_timeout, Duration::from_secs(5));
    assert_eq!(with_file(file, &[("MINKE_LISTEN", "127.0.0.1:2")]).unwrap().listen.port(), 2);
    let flags = Flags { listen: Some("127.0.0.1:3".into()), ..Flags::default() };
    assert_eq!(resolve(flags, &[("MINKE_LISTEN", "127.0.0.1:2")]).unwrap().listen.port(), 3);
}

#[test]
fn the_contracts_variables_keep_their_meaning() {
    let config = resolve(
        Flags::default(),
        &[
            ("functions_provider_url", "http://127.0.0.1:8081/"),
            ("upstream_timeout", "1m5s"),
            ("read_timeout", "soon"),
            ("basic_auth", "false"),
            ("function_namespace", "dev"),
        ],
    )
    .unwrap();
    assert_eq!(config.provider, ProviderKind::Remote);
    assert_eq!(config.upstream_timeout, Duration::from_secs(65));
    assert_eq!((config.read_timeout, config.warnings.len()), (TIMEOUT_DEFAULT, 1));
    assert!(!config.auth);
    assert_eq!(config.namespace.as_str(), "dev");
}

#[test]
fn requests_are_logged_as_either_setting_says() {
    let check = |variables: &[(&str, &str)], want: Option<AccessFormat>| {
        assert_eq!(resolve(Flags::default(), variables).unwrap().access_log, want, "{variables:?}");
    };
    check(&[], None);
    check(&[("write_request_uri", "")], Some(AccessFormat::Text));
    check(&[("write_request_uri", "false")], Some(AccessFormat::Text));
    check(&[("write_request_uri", "1"), ("MINKE_ACCESS_LOG", "json")], Some(AccessFormat::Json));
    check(&[("write_request_uri", "1"), ("MINKE_ACCESS_LOG", "off")], None);

    let warnings = |variables: &[(&str, &str)]| resolve(Flags::default(), variables).unwrap().warnings.len();
    assert_eq!(warnings(&[("MINKE_ACCESS_LOG_FILE", "/a")]), 1);
    assert_eq!(warnings(&[("MINKE_ACCESS_LOG_FILE", "/a"), ("MINKE_ACCESS_LOG", "text")]), 0);
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let check = |flags: Flags, variables: &[(&str, &str)], message: &str| {
        assert_eq!(resolve(flags, variables).unwrap_err().to_string(), message);
    };
    let listen = Flags { listen: Some("8080".into()), ..Flags::default() };
    check(listen, &[], "--listen: \"8080\" is not an address like 127.0.0.1:8080");
    check(
        Flags::default(),
        &[("MINKE_METRICS_LISTEN", "x")],
        "MINKE_METRICS_LISTEN: \"x\" is not an address like 127.0.0.1:8080",
    );
    check(
        Flags::default(),
        &[("MINKE_PROVIDER", "docker")],
        "MINKE_PROVIDER: \"docker\" is not a provider: oci, memory or remote",
    );
    check(
        Flags { provider: Some(ProviderKind::Remote), ..Flags::default() },
        &[],
        "the provider `remote` needs an address; give --provider-url http://HOST:8081/",
    );
    assert!(matches!(
        resolve(Flags::default(), &[("MINKE_LITSEN", "x")]),
        Err(ConfigError::UnknownVariable { name }) if name == "MINKE_LITSEN"
    ));
    assert!(matches!(with_file("litsen: x\n", &[]), Err(ConfigError::File { .. })));
    assert!(matches!(with_file("read-timeout: 0\n", &[]), Err(ConfigError::Value { .. })));
}
