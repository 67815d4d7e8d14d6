//! What the annotations of a function say about its calls; each beats the gateway's own setting.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::duration::parse_duration;
use crate::{Quantity, SpecError};

/// How long a call may take to the head of its answer, and each silence of its body: a Go duration or whole seconds.
pub const TIMEOUT: &str = "minke/timeout";
/// Largest body of a call: bytes, or a quantity like `10Mi`.
pub const MAX_BODY: &str = "minke/max-body";
/// Calls under way at once; more are answered 429.
pub const MAX_IN_FLIGHT: &str = "minke/max-in-flight";
/// Calls per second, `100` or `0.5`; more are answered 429.
pub const RATE_LIMIT: &str = "minke/rate-limit";
/// Calls that may come at once beyond the rate; as many as come in a second, at least one, when not set.
pub const RATE_BURST: &str = "minke/rate-burst";
/// What the function speaks: `http1` or `h2c`.
pub const PROTOCOL: &str = "minke/protocol";

const TIMEOUT_MAX: Duration = Duration::from_secs(24 * 60 * 60);
const RATE_MAX: f64 = 1e6;
const COUNT_MAX: u32 = 1_000_000;

#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct CallLimits {
    pub timeout: Option<Duration>,
    /// Bytes.
    pub max_body: Option<u64>,
    pub max_in_flight: Option<u32>,
    pub rate: Option<Rate>,
    pub protocol: Protocol,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    pub per_second: f64,
    pub burst: u32,
}

/// How a function is spoken to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Protocol {
    #[default]
    Http1,
    /// HTTP/2 without TLS and without an upgrade (prior knowledge), as gRPC servers speak it.
    H2c,
}

impl CallLimits {
    /// Fails on the first value that cannot be meant, and tells which.
    pub fn parse(annotations: &BTreeMap<String, String>) -> Result<Self, SpecError> {
        let mut limits = Self::default();
        let mut burst = None;
        for (key, text) in annotations {
            let refused = |expected: &str| SpecError {
                field: format!("annotations.{key}"),
                problem: format!("{:?} is not {expected}", text.chars().take(64).collect::<String>()),
            };
            let text = text.trim();
            match key.as_str() {
                TIMEOUT => {
                    let timeout = parse_duration(text).filter(|t| !t.is_zero() && *t <= TIMEOUT_MAX);
                    limits.timeout =
                        Some(timeout.ok_or_else(|| refused("a duration like 30s or 2m, of at most 24h"))?);
                }
                MAX_BODY => {
                    let size = text.parse::<Quantity>().ok().map(|size| size.whole());
                    limits.max_body = Some(size.ok_or_else(|| refused("a size like 65536 or 10Mi"))?);
                }
                MAX_IN_FLIGHT => {
                    limits.max_in_flight = Some(count(text).ok_or_else(|| refused(COUNT_EXPECTED))?)
                }
                RATE_BURST => burst = Some(count(text).ok_or_else(|| refused(COUNT_EXPECTED))?),
                RATE_LIMIT => {
                    let per_second = text.parse().ok().filter(|rate| *rate > 0.0 && *rate <= RATE_MAX);
                    let per_second: f64 =
                        per_second.ok_or_else(|| refused("a number of calls per second above 0"))?;
                    limits.rate = Some(Rate { per_second, burst: per_second.ceil() as u32 });
                }
                PROTOCOL => {
                    limits.protocol = match text {
                        "http1" => Protocol::Http1,
                        "h2c" => Protocol::H2c,
                        _ => return Err(refused("http1 or h2c")),
                    }
                }
                _ => {}
            }
        }
        if let (Some(rate), Some(burst)) = (&mut limits.rate, burst) {
            rate.burst = burst;
        }
        Ok(limits)
    }
}

const COUNT_EXPECTED: &str = "a number from 1 to 1000000";

fn count(text: &str) -> Option<u32> {
    text.parse().ok().filter(|count| (1..=COUNT_MAX).contains(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<CallLimits, String> {
        let annotations = pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        CallLimits::parse(&annotations).map_err(|error| error.to_string())
    }

    #[test]
    fn what_annotations_say() {
        let check = |key: &str, text: &str, want: CallLimits| assert_eq!(parse(&[(key, text)]), Ok(want));
        let none = CallLimits::default();
        check("topic", "cron-function", none);
        check(TIMEOUT, "1m30s", CallLimits { timeout: Some(Duration::from_secs(90)), ..none });
        check(MAX_BODY, "10Mi", CallLimits { max_body: Some(10 << 20), ..none });
        check(MAX_BODY, "0", CallLimits { max_body: Some(0), ..none });
        check(MAX_IN_FLIGHT, "1", CallLimits { max_in_flight: Some(1), ..none });
        check(RATE_LIMIT, "0.5", CallLimits { rate: Some(Rate { per_second: 0.5, burst: 1 }), ..none });
        check(PROTOCOL, "h2c", CallLimits { protocol: Protocol::H2c, ..none });
        let rate = parse(&[(RATE_LIMIT, "10"), (RATE_BURST, "50")]).unwrap().rate;
        assert_eq!(rate, Some(Rate { per_second: 10.0, burst: 50 }));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let check = |key: &str, text: &str| {
            let told = parse(&[(key, text)]).unwrap_err();
            assert!(told.starts_with(&format!("annotations.{key}: ")), "{told}");
        };
        for text in ["", "0", "-1s", "soon", "25h"] {
            check(TIMEOUT, text);
        }
        for text in ["", "-1", "many"] {
            check(MAX_BODY, text);
        }
        for text in ["", "0", "-1", "1.5", "1000001"] {
            check(MAX_IN_FLIGHT, text);
            check(RATE_BURST, text);
        }
        for text in ["", "0", "-1", "NaN", "inf", "1e9"] {
            check(RATE_LIMIT, text);
        }
        for text in ["", "grpc", "H2C"] {
            check(PROTOCOL, text);
        }
    }
}
