//! What the labels of a function say about its replica count (contract: scaling labels).

pub mod alert;

use std::borrow::Cow;
use std::collections::BTreeMap;

/// Floor of replicas; also the count that a function starts with.
pub const LABEL_MIN: &str = "com.openfaas.scale.min";

/// What kind of load is measured to scale a function: `rps`, `capacity`, `cpu`, `queue`, or the name of a rule.
pub const LABEL_TYPE: &str = "com.openfaas.scale.type";

/// How much of it one replica is to carry.
pub const LABEL_TARGET: &str = "com.openfaas.scale.target";

const TYPE_DEFAULT: &str = "rps";
const TARGET_DEFAULT: f64 = 50.0;
/// Longest name of a kind of load; the longest of a DNS label.
const TYPE_MAX: usize = 63;

/// Most replicas that one function may be asked to have on any provider.
pub const REPLICAS_MAX: u32 = 10_000;

/// The floor that the labels set, when it is a positive number; anything else sets none.
pub fn min_replicas(labels: &BTreeMap<String, String>) -> Option<u32> {
    let min = labels.get(LABEL_MIN)?.trim().parse::<u32>().ok()?;
    (min > 0).then(|| min.min(REPLICAS_MAX))
}

/// How many replicas a new function starts with, and an idle one is woken with.
pub fn initial_replicas(labels: &BTreeMap<String, String>) -> u32 {
    min_replicas(labels).unwrap_or(1)
}

/// The load that one replica is meant to carry.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadTarget {
    /// ASCII letters, digits, `-` and `_`.
    pub scaling_type: Cow<'static, str>,
    /// Positive and finite; its unit is the type's.
    pub per_replica: f64,
}

impl LoadTarget {
    /// What labels leave out, or say in a way that cannot be read, is the default: 50 requests a second.
    pub fn parse(labels: &BTreeMap<String, String>) -> Self {
        let known = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        let named = labels.get(LABEL_TYPE).map(|name| name.trim());
        let named = named.filter(|name| (1..=TYPE_MAX).contains(&name.len()) && name.bytes().all(known));
        let target = labels.get(LABEL_TARGET).and_then(|text| text.trim().parse::<f64>().ok());
        Self {
            scaling_type: match named {
                None | Some(TYPE_DEFAULT) => TYPE_DEFAULT.into(),
                Some(name) => name.to_owned().into(),
            },
            per_replica: target.filter(|n| n.is_finite() && *n > 0.0).unwrap_or(TARGET_DEFAULT),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_min_label_is_the_initial_count() {
        let check = |label: Option<&str>, want: u32| {
            let labels = label.map(|v| (LABEL_MIN.to_owned(), v.to_owned())).into_iter().collect();
            assert_eq!(initial_replicas(&labels), want, "{label:?}");
        };
        check(None, 1);
        check(Some("0"), 1);
        check(Some("3"), 3);
        check(Some("-1"), 1);
        check(Some("many"), 1);
        check(Some("99999999"), REPLICAS_MAX);
    }

    #[test]
    fn labels_name_the_load_of_a_replica() {
        let check = |kind: Option<&str>, target: Option<&str>, want: (&str, f64)| {
            let pairs = [(LABEL_TYPE, kind), (LABEL_TARGET, target)];
            let labels =
                pairs.iter().filter_map(|(k, v)| Some(((*k).to_owned(), (*v)?.to_owned()))).collect();
            let got = LoadTarget::parse(&labels);
            assert_eq!((&*got.scaling_type, got.per_replica), want, "{kind:?} {target:?}");
        };
        check(None, None, ("rps", 50.0));
        check(Some("cpu"), Some("500"), ("cpu", 500.0));
        check(Some("my-rule_2"), Some("0.5"), ("my-rule_2", 0.5));
        check(Some("a\"b"), Some("many"), ("rps", 50.0));
        check(Some(""), Some("0"), ("rps", 50.0));
        check(Some(&"x".repeat(64)), Some("-1"), ("rps", 50.0));
        check(Some("rps"), Some("inf"), ("rps", 50.0));
    }
}
