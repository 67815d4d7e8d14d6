//! A function that waits `?ms=` milliseconds (1000 when not said), and then tells so. For cold starts and load.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

const DEFAULT_MS: u64 = 1_000;
const MS_MAX: u64 = 600_000;

fn main() -> ExitCode {
    let query = std::env::var("Http_Query").unwrap_or_default();
    let Some(ms) = wanted(&query) else {
        eprintln!("ms must be a number from 0 to {MS_MAX}");
        return ExitCode::from(2);
    };
    // What it is sent is of no interest, but a caller may want to see it taken.
    if let Err(error) = io::copy(&mut io::stdin().lock(), &mut io::sink()) {
        eprintln!("cannot read the request: {error}");
        return ExitCode::FAILURE;
    }
    std::thread::sleep(Duration::from_millis(ms));
    // A caller who has left does not hear it.
    match writeln!(io::stdout(), "slept {ms} ms") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn wanted(query: &str) -> Option<u64> {
    let given = query.split('&').find_map(|pair| pair.strip_prefix("ms="));
    given.map_or(Some(DEFAULT_MS), |text| text.parse().ok()).filter(|ms| *ms <= MS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_read_and_bounded() {
        let check = |query, expected| assert_eq!(wanted(query), expected, "{query}");
        check("", Some(1_000));
        check("a=b&ms=5", Some(5));
        check("ms=0", Some(0));
        check("ms=", None);
        check("ms=-1", None);
        check("ms=600001", None);
    }
}
