use std::collections::HashMap;

use super::*;

fn read(text: &str) -> Result<Config, ConfigError> {
    let variables: HashMap<&str, &str> =
        text.split(';').filter(|entry| !entry.is_empty()).filter_map(|entry| entry.split_once('=')).collect();
    Config::read(&|name| variables.get(name).map(|value| (*value).to_owned()))
}

#[test]
fn the_command_is_split_on_each_single_space() {
    let check = |line: &str, argv: &[&str]| {
        assert_eq!(read(&format!("fprocess={line}")).expect(line).command, argv);
    };
    check("cat", &["cat"]);
    check("echo  \"a b\" c", &["echo", "", "\"a", "b\"", "c"]);
    check("sh -c $HOME ", &["sh", "-c", "$HOME", ""]);
    let both = read("fprocess=a;function_process=b").expect("both names");
    assert_eq!(both.command, ["b"]);
}

#[test]
fn durations_default_when_they_cannot_be_read() {
    let check = |text: &str, seconds: Option<u64>| {
        let config = read(&format!("fprocess=x;exec_timeout={text}")).expect(text);
        assert_eq!(config.timeouts.exec, seconds.map(Duration::from_secs), "{text}");
    };
    check("10", Some(10));
    check("10s", Some(10));
    check("1m30s", Some(90));
    check("", Some(30));
    check("bad", Some(30));
    check("0", None);
    check("-5s", None);
}

#[test]
fn defaults_are_the_contracts() {
    let config = read("fprocess=x").expect("defaults");
    assert!(matches!(config.mode, ModeConfig::Streaming));
    assert_eq!(config.port, 8080);
    assert_eq!(config.content_type, "application/octet-stream");
    assert_eq!(config.timeouts.write, Duration::from_secs(30));
    assert_eq!((config.log.prefix, config.log.line_max, config.log.call_id), (true, 65_536, false));
    assert_eq!((config.max_inflight, config.suppress_lock, config.shutdown_delay), (0, false, None));
}

#[test]
fn unusable_settings_are_refused_with_their_exit_code() {
    let check = |text: &str, code: u8, word: &str| {
        let error = read(text).expect_err(text);
        assert_eq!(error.exit_code(), code, "{text}");
        assert!(error.to_string().contains(word), "{text}: {error}");
    };
    check("", 1, "fprocess");
    check("fprocess= x", 1, "begins with a space");
    check("fprocess=x;mode=http", 1, "upstream_url");
    check("fprocess=x;mode=http;upstream_url=https://h", 1, "only http");
    check("fprocess=x;mode=http;upstream_url=127.0.0.1:5000", 1, "upstream_url");
    check("fprocess=x;mode=http;upstream_url=http://h:99999", 1, "upstream_url");
    check("fprocess=x;mode=afterburn", 2, "withdrawn");
    check("fprocess=x;mode=inproc", 2, "Go program");
    check("mode=static", 2, "files");
    check("fprocess=x;mode=HTTP", 2, "not known");
    check("fprocess=x;port=", 1, "port");
    check("fprocess=x;port=70000", 1, "port");
    check("fprocess=x;write_timeout=0", 1, "write_timeout");
    check("fprocess=x;log_buffer_size=big", 1, "log_buffer_size");
    check("fprocess=x;jwt_auth=true", 1, "jwt_auth");
}

#[test]
fn a_limit_that_is_no_number_is_off_and_told() {
    let config = read("fprocess=x;max_inflight=many").expect("off");
    assert_eq!((config.max_inflight, config.warnings.len()), (0, 1));
    assert_eq!(read("fprocess=x;max_inflight=-3").expect("negative").max_inflight, 0);
    assert_eq!(read("fprocess=x;max_inflight=7").expect("seven").max_inflight, 7);
}

#[test]
fn the_upstream_prefix_is_kept_as_written() {
    let check = |url: &str, asked: &str, expected: &str| {
        let upstream = UpstreamUrl::parse(url).expect(url);
        let asked = asked.parse().expect("path");
        assert_eq!(upstream.target(Some(&asked)).expect("target").to_string(), expected);
    };
    check("http://127.0.0.1:5000", "/a%20b//c?x=%2f", "/a%20b//c?x=%2f");
    check("http://127.0.0.1:5000/", "/a", "//a");
    check("http://127.0.0.1:5000/base", "/a?b", "/base/a?b");
    check("http://[::1]:5000", "/", "/");
}
