//! Where traces go, under the names that OpenTelemetry gives to these settings for every program.

use std::collections::BTreeMap;

use model::env::otel;

use crate::config::ConfigError;

const TRACES_PATH: &str = "v1/traces";
const SERVICE_NAME: &str = "minke";

#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// What spans are posted to.
    pub endpoint: String,
    pub headers: BTreeMap<String, String>,
    pub service_name: String,
    pub resource: BTreeMap<String, String>,
    pub sampling: Sampling,
}

/// Which calls are recorded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// Of those that nobody has decided about, a share of 0 to 1.
    pub ratio: f64,
    /// A caller that has decided has decided for us.
    pub by_parent: bool,
}

impl Settings {
    /// None when no endpoint is named, or traces are turned off.
    pub fn resolve(variables: &BTreeMap<String, String>) -> Result<Option<Self>, ConfigError> {
        let variable =
            |name: &str| variables.get(name).map(|value| value.trim()).filter(|value| !value.is_empty());
        let off = variable(otel::SDK_DISABLED).is_some_and(|value| value.eq_ignore_ascii_case("true"))
            || variable(otel::TRACES_EXPORTER) == Some("none");
        let endpoint = match (variable(otel::TRACES_ENDPOINT), variable(otel::ENDPOINT)) {
            _ if off => None,
            (Some(whole), _) => Some((otel::TRACES_ENDPOINT, whole.to_owned())),
            (None, Some(base)) => {
                Some((otel::ENDPOINT, format!("{}/{TRACES_PATH}", base.trim_end_matches('/'))))
            }
            (None, None) => None,
        };
        let Some((origin, endpoint)) = endpoint else { return Ok(None) };
        let authority = endpoint.strip_prefix("http://").or_else(|| endpoint.strip_prefix("https://"));
        if authority.is_none_or(|rest| rest.starts_with('/') || endpoint.parse::<http::Uri>().is_err()) {
            return Err(refused(origin, &endpoint, "an address like http://127.0.0.1:4318"));
        }
        for name in [otel::TRACES_PROTOCOL, otel::PROTOCOL] {
            if let Some(protocol) = variable(name).filter(|protocol| *protocol != "http/protobuf") {
                return Err(refused(name, protocol, "http/protobuf, which is the only protocol spoken"));
            }
        }
        let headers = variable(otel::TRACES_HEADERS).or_else(|| variable(otel::HEADERS));
        Ok(Some(Self {
            endpoint,
            headers: pairs(headers),
            service_name: variable(otel::SERVICE_NAME).unwrap_or(SERVICE_NAME).to_owned(),
            resource: pairs(variable(otel::RESOURCE_ATTRIBUTES)),
            sampling: sampling(variable(otel::SAMPLER), variable(otel::SAMPLER_ARG))?,
        }))
    }
}

impl Sampling {
    #[cfg_attr(not(feature = "otlp"), allow(dead_code, reason = "nothing is traced"))]
    /// `bits` are random ones of the trace's id: whoever else samples by them comes to the same end.
    pub fn takes(self, bits: u64, parent_sampled: Option<bool>) -> bool {
        match parent_sampled {
            Some(sampled) if self.by_parent => sampled,
            _ => self.ratio >= 1.0 || (bits >> 1) < (self.ratio.max(0.0) * (1_u64 << 63) as f64) as u64,
        }
    }
}

fn sampling(name: Option<&str>, arg: Option<&str>) -> Result<Sampling, ConfigError> {
    let name = name.unwrap_or("parentbased_always_on");
    let root = name.strip_prefix("parentbased_");
    let ratio = match root.unwrap_or(name) {
        "always_on" => 1.0,
        "always_off" => 0.0,
        "traceidratio" => match arg.map(|text| (text, text.parse::<f64>())) {
            None => 1.0,
            Some((_, Ok(ratio))) if (0.0..=1.0).contains(&ratio) => ratio,
            Some((text, _)) => return Err(refused(otel::SAMPLER_ARG, text, "a share between 0 and 1")),
        },
        _ => {
            return Err(refused(
                otel::SAMPLER,
                name,
                "a sampler: always_on, always_off, traceidratio, or one of them behind parentbased_",
            ));
        }
    };
    Ok(Sampling { ratio, by_parent: root.is_some() })
}

/// `name=value,name=value`, with percent-encoded values (W3C Baggage).
fn pairs(text: Option<&str>) -> BTreeMap<String, String> {
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=')?;
        let name = name.trim();
        (!name.is_empty()).then(|| (name.to_owned(), decoded(value.trim())))
    };
    text.unwrap_or_default().split(',').filter_map(pair).collect()
}

fn decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let [byte, after @ ..] = rest {
        let code = after.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match (byte, code) {
            (b'%', Some(code)) => {
                bytes.push(code);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn refused(origin: &str, value: &str, expected: &'static str) -> ConfigError {
    ConfigError::Value { origin: origin.into(), value: value.into(), expected }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(variables: &[(&str, &str)]) -> Result<Option<Settings>, String> {
        let variables = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Settings::resolve(&variables).map_err(|error| error.to_string())
    }

    #[test]
    fn an_endpoint_turns_it_on() {
        assert_eq!(resolve(&[]), Ok(None));
        assert_eq!(resolve(&[(otel::SERVICE_NAME, "x"), (otel::ENDPOINT, "")]), Ok(None));
        assert_eq!(resolve(&[(otel::ENDPOINT, "http://c:4318"), (otel::SDK_DISABLED, "true")]), Ok(None));
        assert_eq!(resolve(&[(otel::ENDPOINT, "http://c:4318"), (otel::TRACES_EXPORTER, "none")]), Ok(None));
        let check = |variables: &[(&str, &str)], want: &str| {
            assert_eq!(resolve(variables).unwrap().unwrap().endpoint, want, "{variables:?}");
        };
        check(&[(otel::ENDPOINT, "http://c:4318")], "http://c:4318/v1/traces");
        check(&[(otel::ENDPOINT, "https://c/otel/")], "https://c/otel/v1/traces");
        check(&[(otel::ENDPOINT, "x"), (otel::TRACES_ENDPOINT, "http://c/t")], "http://c/t");
    }

    #[test]
    fn all_of_it_is_read() {
        let settings = resolve(&[
            (otel::ENDPOINT, "http://c:4318"),
            (otel::HEADERS, "authorization=Basic%20YTpi, x=1,odd,=2"),
            (otel::SERVICE_NAME, "front"),
            (otel::RESOURCE_ATTRIBUTES, "deployment.environment.name=test"),
            (otel::SAMPLER, "traceidratio"),
            (otel::SAMPLER_ARG, "0.25"),
        ]);
        let map = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect::<BTreeMap<_, _>>()
        };
        assert_eq!(
            settings.unwrap().unwrap(),
            Settings {
                endpoint: "http://c:4318/v1/traces".into(),
                headers: map(&[("authorization", "Basic YTpi"), ("x", "1")]),
                service_name: "front".into(),
                resource: map(&[("deployment.environment.name", "test")]),
                sampling: Sampling { ratio: 0.25, by_parent: false },
            }
        );
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let check = |variables: &[(&str, &str)], want: &str| {
            let mut all = vec![(otel::ENDPOINT, "http://c:4318")];
            all.extend(variables);
            let told = resolve(&all).unwrap_err();
            assert!(told.contains(want), "{told}");
        };
        check(&[(otel::ENDPOINT, "c:4318")], "OTEL_EXPORTER_OTLP_ENDPOINT");
        check(&[(otel::TRACES_ENDPOINT, "http:///x")], "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
        check(&[(otel::PROTOCOL, "grpc")], "http/protobuf");
        check(&[(otel::SAMPLER, "sometimes")], "a sampler");
        check(&[(otel::SAMPLER, "parentbased_traceidratio"), (otel::SAMPLER_ARG, "2")], "between 0 and 1");
    }

    #[test]
    fn samplers_decide_as_they_are_told() {
        let check = |sampler: &str, bits: u64, parent: Option<bool>, want: bool| {
            let takes = sampling(Some(sampler), Some("0.5")).unwrap().takes(bits, parent);
            assert_eq!(takes, want, "{sampler} {bits} {parent:?}");
        };
        check("always_on", u64::MAX, Some(false), true);
        check("always_off", 0, Some(true), false);
        check("parentbased_always_on", u64::MAX, Some(false), false);
        check("parentbased_always_on", u64::MAX, None, true);
        check("parentbased_always_off", 0, None, false);
        check("parentbased_always_off", 0, Some(true), true);
        check("traceidratio", 0, Some(false), true);
        check("traceidratio", u64::MAX, Some(true), false);
        check("parentbased_traceidratio", u64::MAX / 2 - 1, None, true);
        check("parentbased_traceidratio", u64::MAX / 2 + 2, None, false);
    }
}
