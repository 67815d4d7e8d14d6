//! `YYYY/MM/DD HH:MM:SS `, in UTC: a scratch image has no time zones.

use std::time::{SystemTime, UNIX_EPOCH};

pub fn stamp(line: &mut Vec<u8>) {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    line.extend_from_slice(format_seconds(seconds).as_bytes());
}

fn format_seconds(seconds: u64) -> String {
    let (year, month, day) = civil(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}/{month:02}/{day:02} {hour:02}:{minute:02}:{second:02} ")
}

/// Counted in eras of 400 years that begin in March, so that the leap day is the last of its year.
fn civil(days_since_1970: u64) -> (u64, u64, u64) {
    let days = days_since_1970 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_become_dates() {
        let check = |seconds, text| assert_eq!(format_seconds(seconds), text);
        check(0, "1970/01/01 00:00:00 ");
        check(951_782_399, "2000/02/28 23:59:59 ");
        check(951_782_400, "2000/02/29 00:00:00 ");
        check(1_709_251_199, "2024/02/29 23:59:59 ");
        check(4_102_444_800, "2100/01/01 00:00:00 ");
    }
}
