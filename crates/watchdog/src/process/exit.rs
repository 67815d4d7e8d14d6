//! How a process ended, in the words that Go has for it.

use std::fmt;

use rustix::process::WaitStatus;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Code(i32),
    Signal { number: i32, dumped: bool },
    Unknown,
}

impl Exit {
    pub fn is_success(self) -> bool {
        self == Exit::Code(0)
    }
}

impl From<WaitStatus> for Exit {
    fn from(status: WaitStatus) -> Self {
        if let Some(code) = status.exit_status() {
            return Exit::Code(code);
        }
        match status.terminating_signal() {
            Some(number) => Exit::Signal { number, dumped: status.as_raw() & 0x80 != 0 },
            None => Exit::Unknown,
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exit::Code(code) => write!(f, "exit status {code}"),
            Exit::Signal { number, dumped } => {
                match signal_name(*number) {
                    Some(name) => write!(f, "signal: {name}")?,
                    None => write!(f, "signal: signal {number}")?,
                }
                f.write_str(if *dumped { " (core dumped)" } else { "" })
            }
            Exit::Unknown => f.write_str("exit status unknown"),
        }
    }
}

fn signal_name(number: i32) -> Option<&'static str> {
    Some(match number {
        1 => "hangup",
        2 => "interrupt",
        3 => "quit",
        4 => "illegal instruction",
        5 => "trace/breakpoint trap",
        6 => "aborted",
        7 => "bus error",
        8 => "floating point exception",
        9 => "killed",
        10 => "user defined signal 1",
        11 => "segmentation fault",
        12 => "user defined signal 2",
        13 => "broken pipe",
        14 => "alarm clock",
        15 => "terminated",
        24 => "CPU time limit exceeded",
        25 => "file size limit exceeded",
        31 => "bad system call",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_worded_as_go_words_them() {
        assert_eq!(Exit::Code(3).to_string(), "exit status 3");
        assert_eq!(Exit::Signal { number: 9, dumped: false }.to_string(), "signal: killed");
        assert_eq!(
            Exit::Signal { number: 11, dumped: true }.to_string(),
            "signal: segmentation fault (core dumped)"
        );
        assert_eq!(Exit::Signal { number: 40, dumped: false }.to_string(), "signal: signal 40");
    }
}
