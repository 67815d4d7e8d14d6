//! What functions write, line by line.

use jiff::Timestamp;

use crate::FunctionId;

/// Which lines are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogQuery {
    pub function: FunctionId,
    /// One replica alone.
    pub instance: Option<String>,
    /// That many of the last lines; all of them when not set.
    pub tail: Option<usize>,
    /// Lines written then or later; all of them when not set.
    pub since: Option<Timestamp>,
    /// Goes on with what is yet to be written, also by replicas that are yet to come.
    pub follow: bool,
}

/// One line, without its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    pub function: FunctionId,
    /// The replica that wrote it.
    pub instance: String,
    pub timestamp: Timestamp,
    pub text: String,
}
