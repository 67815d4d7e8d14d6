//! Durations as OpenFaaS writes them: whole seconds (`30`) or Go's text form (`1m30s`, `300ms`, `1.5h`).
//!
//! Not a general duration library: it reads, it never formats, and it knows no clock.

use std::time::Duration;

const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60 * 1_000_000_000),
    ("h", 3_600 * 1_000_000_000),
];

/// Reads a non-negative decimal integer as seconds, anything else as [`parse_go_duration`] does.
///
/// `None` for text of neither form (the empty text too) and for more than 292 years, which Go cannot hold.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        let seconds: u64 = digits.parse().ok()?;
        let nanos = seconds.checked_mul(1_000_000_000).filter(|n| i64::try_from(*n).is_ok())?;
        return Some(Duration::from_nanos(nanos));
    }
    parse_go_duration(text)
}

/// Reads Go's `time.ParseDuration` grammar: `[+-](number unit)+` or a bare `0`.
///
/// Go accepts negative durations; wherever OpenFaaS reads one it means the same as zero, so zero is what they become.
pub fn parse_go_duration(text: &str) -> Option<Duration> {
    let nanos = parse_go_nanos(text)?;
    Some(Duration::from_nanos(u64::try_from(nanos).unwrap_or(0)))
}

/// Reads the same grammar with its sign kept, in nanoseconds.
pub fn parse_go_nanos(text: &str) -> Option<i64> {
    let (negative, magnitude) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if magnitude == "0" {
        return Some(0);
    }
    if magnitude.is_empty() {
        return None;
    }
    let mut total: u64 = 0;
    let mut rest = magnitude;
    while !rest.is_empty() {
        let (nanos, after) = parse_term(rest)?;
        total = total.checked_add(nanos)?;
        rest = after;
    }
    let total = i64::try_from(total).ok()?;
    Some(if negative { -total } else { total })
}

fn parse_term(text: &str) -> Option<(u64, &str)> {
    let number_end = text.find(|c: char| c != '.' && !c.is_ascii_digit())?;
    let (number, rest) = text.split_at(number_end);
    let unit_end = rest.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(unit_end);
    let scale = UNITS.iter().find(|(name, _)| *name == unit)?.1;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    Some((whole.checked_mul(scale)?.checked_add(scale_fraction(fraction, scale))?, rest))
}

/// Digits past what a u128 holds are far below a nanosecond, so they are left out rather than refused.
fn scale_fraction(digits: &str, scale: u64) -> u64 {
    let mut numerator: u128 = 0;
    let mut denominator: u128 = 1;
    for digit in digits.bytes().take(18) {
        numerator = numerator * 10 + u128::from(digit - b'0');
        denominator *= 10;
    }
    u64::try_from(numerator * u128::from(scale) / denominator).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_go_forms_are_read() {
        let check = |text: &str, nanos: u128| {
            assert_eq!(parse_duration(text).map(|d| d.as_nanos()), Some(nanos), "{text}");
        };
        check("0", 0);
        check("10", 10_000_000_000);
        check("+10", 10_000_000_000);
        check("10s", 10_000_000_000);
        check("1m30s", 90_000_000_000);
        check("300ms", 300_000_000);
        check("1.5s", 1_500_000_000);
        check(".5s", 500_000_000);
        check("1.s", 1_000_000_000);
        check("1h1m1s1ms1us1ns", 3_661_001_001_001);
        check("2\u{b5}s", 2_000);
        check("2\u{3bc}s", 2_000);
        check("0.1234567890123456789012345s", 123_456_789);
        check("-5s", 0);
        check("-0", 0);
        check("9223372036", 9_223_372_036_000_000_000);
    }

    #[test]
    fn other_text_is_refused() {
        let texts = "bad|s|.s|1.5|-5|10 s| 10|1x|1s2|1..2s|1.2.3s|+|-|--1s|1S|0x10s|9223372037|9999999h|\u{661}s|1\u{b5}|";
        for text in texts.split('|') {
            assert_eq!(parse_duration(text), None, "{text:?}");
        }
        assert_eq!(parse_go_duration("1"), None);
    }

    #[test]
    fn the_sign_is_kept_on_demand() {
        assert_eq!(parse_go_nanos("-1.5s"), Some(-1_500_000_000));
        assert_eq!(parse_go_nanos("+2ms"), Some(2_000_000));
    }
}
