//! How a command ends: the one place that knows exit codes.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done |
//! | 1 | tried, and it failed: the gateway said no, a function failed, a file cannot be read or written |
//! | 64 | not tried: wrong flags, a wrong stack file, wrong configuration (`EX_USAGE` of sysexits(3)) |

use std::fmt;
use std::process::ExitCode;

use crate::printer;

/// The exit code of what failed when tried.
pub const FAILED: u8 = 1;
/// The exit code of wrong usage and wrong configuration.
pub const USAGE: u8 = 64;

/// A command that did not work: one line for stderr, and the code for the shell.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    /// Empty when everything was said already.
    message: String,
}

impl Failure {
    /// It was tried and failed.
    pub fn general(message: impl fmt::Display) -> Self {
        Self { code: FAILED, message: message.to_string() }
    }

    /// It cannot be done as it was asked for; nothing was touched.
    pub fn usage(message: impl fmt::Display) -> Self {
        Self { code: USAGE, message: message.to_string() }
    }

    /// It failed, and the reasons are on stderr already.
    pub fn told() -> Self {
        Self { code: FAILED, message: String::new() }
    }

    /// Whoever reads our output had enough; that is no failure of ours.
    pub fn reader_left() -> Self {
        Self { code: 0, message: String::new() }
    }

    /// Says why on stderr; the answer is for the shell.
    pub fn report(self) -> ExitCode {
        if !self.message.is_empty() {
            printer::tell(&self.message);
        }
        ExitCode::from(self.code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::general(format_args!("{error:#}"))
    }
}

/// An error and what caused it, in one line; a cause that says the same again is left out.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
