//! How many replicas an alert leads to: a step up for each time that it fires, and back to the floor when it is over.

use std::collections::BTreeMap;

use super::{REPLICAS_MAX, initial_replicas};

/// The most replicas that alerts lead to.
pub const LABEL_MAX: &str = "com.openfaas.scale.max";

/// The step, in hundredths of that; 0 leaves the count to others.
pub const LABEL_FACTOR: &str = "com.openfaas.scale.factor";

/// As documented for OpenFaaS, whose free edition lowers both (to 5 and 10).
const MAX_DEFAULT: u32 = 20;
const FACTOR_DEFAULT: u32 = 20;

/// The count that is to be wished for now. What is no number is as if it were not there; a floor above the ceiling
/// lifts it, and a factor above 100 is 100.
pub fn replicas(labels: &BTreeMap<String, String>, current: u32, firing: bool) -> u32 {
    let number = |label: &str| labels.get(label).and_then(|text| text.trim().parse::<u32>().ok());
    let min = initial_replicas(labels);
    let max = number(LABEL_MAX).filter(|max| *max > 0).unwrap_or(MAX_DEFAULT).min(REPLICAS_MAX).max(min);
    match number(LABEL_FACTOR).unwrap_or(FACTOR_DEFAULT).min(100) {
        0 => current,
        factor if firing => current.saturating_add((max * factor).div_ceil(100)).min(max),
        _ => min,
    }
}

#[cfg(test)]
mod tests {
    use super::super::LABEL_MIN;
    use super::*;

    #[test]
    fn alerts_step_up_and_fall_back() {
        let check = |(min, max, factor): (&str, &str, &str), current: u32, firing: bool, want: u32| {
            let pairs = [(LABEL_MIN, min), (LABEL_MAX, max), (LABEL_FACTOR, factor)];
            let given = pairs.iter().filter(|(_, value)| !value.is_empty());
            let labels = given.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            let got = replicas(&labels, current, firing);
            assert_eq!(got, want, "min {min:?} max {max:?} factor {factor:?}: {current}, {firing}");
        };
        let defaults = ("", "", "");
        check(defaults, 1, true, 5);
        check(defaults, 5, true, 9);
        check(defaults, 0, true, 4);
        check(defaults, 18, true, 20);
        check(defaults, 20, true, 20);
        // More than the ceiling comes down to it, as the formula has it.
        check(defaults, 30, true, 20);
        check(defaults, 20, false, 1);
        check(defaults, 1, false, 1);
        check(("2", "10", "25"), 2, true, 5);
        check(("2", "10", "25"), 9, true, 10);
        check(("2", "10", "25"), 9, false, 2);
        check(("", "5", "10"), 1, true, 2);
        check(("", "3", "1"), 1, true, 2);
        check(("", "5", "100"), 1, true, 5);
        check(("", "5", "101"), 1, true, 5);
        check(("", "5", "0"), 2, true, 2);
        check(("", "5", "0"), 2, false, 2);
        check(("many", "some", "few"), 1, true, 5);
        check(("-1", "-5", "-10"), 1, true, 5);
        check(("0", "0", ""), 1, true, 5);
        check(("30", "", ""), 30, true, 30);
        check(("30", "", ""), 1, false, 30);
        check(("", "4294967295", "100"), u32::MAX, true, REPLICAS_MAX);
    }
}
