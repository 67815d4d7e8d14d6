//! Fork, for a process that is known to have one thread.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rustix::process::Pid;

/// Runs `child` in a forked process, which ends with the code that `child` returns.
///
/// The caller must have one thread: the launcher has.
#[allow(unsafe_code)]
pub fn fork(child: impl FnOnce() -> i32) -> std::io::Result<Pid> {
    // SAFETY: with a single thread no lock can be held by a thread that the child lacks.
    // https://man7.org/linux/man-pages/man2/fork.2.html
    let pid = unsafe { libc::fork() };
    match pid {
        -1 => Err(std::io::Error::last_os_error()),
        0 => {
            let code = catch_unwind(AssertUnwindSafe(child)).unwrap_or(101);
            // SAFETY: ends the child without running the parent's exit handlers.
            // https://man7.org/linux/man-pages/man2/_exit.2.html
            unsafe { libc::_exit(code) }
        }
        pid => Ok(Pid::from_raw(pid).expect("fork gives the parent a positive pid")),
    }
}

/// Whether SIGTERM can mean anything to the first process of a pid namespace: one that does not catch or hold it never
/// sees it, and to wait for its end is to wait in vain. `pid_namespaces(7)`
pub fn heeds_sigterm(pid: Pid) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero()));
    let Ok(status) = status else { return true };
    let masks = status.lines().filter_map(|line| {
        let (name, mask) = line.split_once(":\t")?;
        matches!(name, "SigCgt" | "SigBlk").then(|| u64::from_str_radix(mask, 16).ok())?
    });
    masks.fold(0, |all, mask| all | mask) & (1 << (libc::SIGTERM - 1)) != 0
}

/// Signals to hold back in the launcher: the platform decides when it ends, not the terminal.
const HELD: [libc::c_int; 4] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT];

/// Holds (`true`) or lets through the signals that a terminal or a service manager sends to every process.
#[allow(unsafe_code)]
pub fn hold_signals(hold: bool) {
    // SAFETY: the set is initialised by sigemptyset before it is read.
    // https://man7.org/linux/man-pages/man2/sigprocmask.2.html
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        for signal in HELD {
            libc::sigaddset(&mut set, signal);
        }
        libc::sigprocmask(if hold { libc::SIG_BLOCK } else { libc::SIG_UNBLOCK }, &set, std::ptr::null_mut());
    }
}
