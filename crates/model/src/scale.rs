//! What the labels of a function say about its replica count (contract: scaling labels).

use std::collections::BTreeMap;

/// Floor of replicas; also the count that a function starts with.
pub const LABEL_MIN: &str = "com.openfaas.scale.min";

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
}
