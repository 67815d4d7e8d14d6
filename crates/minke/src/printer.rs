//! What goes where: data on stdout, everything that is said to a person on stderr.

use std::fmt;
use std::io::{self, ErrorKind, Write};

use serde::Serialize;

use crate::error::Failure;

/// Writes data; nothing is added.
pub fn data(text: impl fmt::Display) -> Result<(), Failure> {
    bytes(text.to_string().as_bytes())
}

pub fn bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(stdout_failure)
}

/// JSON as `faas-cli` indents it.
pub fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Failure::general(format_args!("failed to write JSON: {error}")))?;
    data(text + "\n")
}

/// One line on stderr, whatever `message` holds.
pub fn tell(message: impl fmt::Display) {
    // There is nowhere left to complain to when stderr is closed.
    let _ = writeln!(io::stderr(), "minke: {}", one_line(&message.to_string()));
}

pub fn warn(message: impl fmt::Display) {
    tell(format_args!("warning: {message}"));
}

fn stdout_failure(error: io::Error) -> Failure {
    match error.kind() {
        ErrorKind::BrokenPipe => Failure::reader_left(),
        _ => Failure::general(format_args!("failed to write to standard output: {error}")),
    }
}

/// Keeps what others sent from moving the cursor or making a second line.
fn one_line(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let joined = lines.collect::<Vec<_>>().join("; ");
    joined.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_harmless_line() {
        assert_eq!(one_line("a\n\n  b\r\nc\u{1b}[31md\u{7}"), "a; b; c [31md ");
    }
}
