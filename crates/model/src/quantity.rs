//! Amounts of memory and CPU as Kubernetes writes them: `128Mi`, `0.5`, `100m`, `1e3`.
//!
//! Source of the grammar and the canonical form: the Kubernetes API reference, "Quantity".

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Thousand-millionths in one: the smallest step a quantity can hold (`n`).
const NANO: u128 = 1_000_000_000;
/// Nothing that a function may ask for is larger than what 63 bits count.
const VALUE_MAX: u128 = i64::MAX as u128 * NANO;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    #[error("quantity {0:?} is not valid; write it like 128Mi, 1Gi, 100m or 0.5")]
    Syntax(String),
    #[error("quantity {0:?} is negative")]
    Negative(String),
    #[error("quantity {0:?} is too large")]
    TooLarge(String),
}

/// A non-negative amount; equality is by value, display is canonical.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Quantity {
    nanos: u128,
    family: Family,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Binary,
    Decimal,
    Exponent,
}

const BINARY: [(&str, u32); 6] = [("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40), ("Pi", 50), ("Ei", 60)];
const DECIMAL: [(&str, i32); 10] =
    [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];

impl Quantity {
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        let syntax = || QuantityError::Syntax(text.chars().take(64).collect());
        let large = || QuantityError::TooLarge(text.chars().take(64).collect());
        let unsigned = text.strip_prefix('+').unwrap_or(text);
        if let Some(rest) = text.strip_prefix('-') {
            return Err(if rest.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
                QuantityError::Negative(text.chars().take(64).collect())
            } else {
                syntax()
            });
        }
        let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return Err(syntax());
        }
        if whole.len() > 20 || fraction.len() > 18 {
            return Err(large());
        }
        let digits = |text: &str| if text.is_empty() { Ok(0) } else { text.parse::<u128>() };
        let mantissa = digits(whole).map_err(|_| syntax())? * 10u128.pow(fraction.len() as u32)
            + digits(fraction).map_err(|_| syntax())?;
        let scale = 10u128.pow(fraction.len() as u32);
        let (family, up, down) = multiplier(suffix).ok_or_else(syntax)?;
        let scaled = mantissa.checked_mul(NANO).and_then(|v| v.checked_mul(up)).ok_or_else(large)?;
        // Kubernetes rounds up what is finer than a nano.
        let nanos = scaled.div_ceil(scale * down);
        if nanos > VALUE_MAX { Err(large()) } else { Ok(Self { nanos, family }) }
    }

    /// Rounded up to the next whole number: bytes, for memory.
    pub fn whole(self) -> u64 {
        self.nanos.div_ceil(NANO) as u64
    }

    /// Rounded up to thousandths: millicores, for CPU.
    pub fn milli(self) -> u64 {
        u64::try_from(self.nanos.div_ceil(NANO / 1000)).unwrap_or(u64::MAX)
    }
}

fn multiplier(suffix: &str) -> Option<(Family, u128, u128)> {
    if let Some((_, bits)) = BINARY.iter().find(|(name, _)| *name == suffix) {
        return Some((Family::Binary, 1 << bits, 1));
    }
    if let Some((_, power)) = DECIMAL.iter().find(|(name, _)| *name == suffix) {
        return Some((
            Family::Decimal,
            10u128.pow((*power).max(0) as u32),
            10u128.pow((-*power).max(0) as u32),
        ));
    }
    let power: i32 = suffix.strip_prefix(['e', 'E']).filter(|p| p.len() <= 3)?.parse().ok()?;
    let in_range = (-18..=18).contains(&power);
    in_range.then(|| (Family::Exponent, 10u128.pow(power.max(0) as u32), 10u128.pow((-power).max(0) as u32)))
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nanos == 0 {
            return f.write_str("0");
        }
        if self.family == Family::Binary && self.nanos.is_multiple_of(NANO) {
            let value = self.nanos / NANO;
            let unit = BINARY.iter().rev().find(|(_, bits)| value.is_multiple_of(1 << bits));
            return match unit {
                Some((name, bits)) => write!(f, "{}{name}", value >> bits),
                None => write!(f, "{value}"),
            };
        }
        let fits = |power: i32| self.nanos.is_multiple_of(10u128.pow((power + 9) as u32));
        let (name, power) = DECIMAL.iter().rev().find(|(_, p)| fits(*p)).unwrap_or(&DECIMAL[0]);
        let value = self.nanos / 10u128.pow((power + 9) as u32);
        match self.family {
            Family::Exponent if *power != 0 => write!(f, "{value}e{power}"),
            _ => write!(f, "{value}{name}"),
        }
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Quantity {
    type Error = QuantityError;

    fn try_from(text: String) -> Result<Self, QuantityError> {
        Self::parse(&text)
    }
}

impl From<Quantity> for String {
    fn from(quantity: Quantity) -> String {
        quantity.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_form_and_value() {
        let check = |text: &str, canonical: &str, whole: u64, milli: u64| {
            let quantity = Quantity::parse(text).unwrap();
            assert_eq!(
                (quantity.to_string().as_str(), quantity.whole(), quantity.milli()),
                (canonical, whole, milli),
                "{text}"
            );
        };
        check("128Mi", "128Mi", 134_217_728, 134_217_728_000);
        check("1024Mi", "1Gi", 1 << 30, (1 << 30) * 1000);
        check("0.5Gi", "512Mi", 1 << 29, (1 << 29) * 1000);
        check("100m", "100m", 1, 100);
        check("1000m", "1", 1, 1000);
        check("1.5", "1500m", 2, 1500);
        check("0.25", "250m", 1, 250);
        check("1e3", "1e3", 1000, 1_000_000);
        check("128M", "128M", 128_000_000, 128_000_000_000);
        check("0", "0", 0, 0);
        check("+1k", "1k", 1000, 1_000_000);
        check(".5", "500m", 1, 500);
        check("3Ki", "3Ki", 3072, 3_072_000);
    }

    #[test]
    fn refused() {
        for bad in [
            "",
            "Mi",
            "1.2.3",
            "1 Mi",
            "12MB",
            "1mi",
            "0x10",
            "١",
            "1e",
            "1e99",
            "9999999999999Ei",
            "ten",
            "1Mi ",
        ] {
            assert!(Quantity::parse(bad).is_err(), "{bad:?}");
        }
        assert_eq!(Quantity::parse("-1"), Err(QuantityError::Negative("-1".into())));
    }
}
