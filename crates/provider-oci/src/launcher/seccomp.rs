//! The system calls that no function has a use for: a filter that every container gets just before its command.
//!
//! Capabilities alone do not do: in a user namespace of its own a process has them all, can mount, and a mounted v1
//! cgroup hierarchy lets it lift its own limits. So no new namespaces, no mounts, and none of the kernel's doors that
//! are often found open.

use std::sync::OnceLock;

use libc::{c_int, c_long};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, sock_filter,
};

/// Refused with EPERM, as for want of a capability.
const DENIED: &[c_long] = &[
    libc::SYS_acct,
    libc::SYS_add_key,
    libc::SYS_adjtimex,
    libc::SYS_bpf,
    libc::SYS_clock_adjtime,
    libc::SYS_clock_settime,
    libc::SYS_delete_module,
    libc::SYS_finit_module,
    libc::SYS_init_module,
    libc::SYS_kexec_load,
    KEXEC_FILE_LOAD,
    libc::SYS_keyctl,
    libc::SYS_mount,
    libc::SYS_open_by_handle_at,
    libc::SYS_perf_event_open,
    libc::SYS_pivot_root,
    libc::SYS_quotactl,
    libc::SYS_reboot,
    libc::SYS_request_key,
    libc::SYS_setns,
    libc::SYS_settimeofday,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_syslog,
    libc::SYS_umount2,
    libc::SYS_userfaultfd,
    OPEN_TREE,
    MOVE_MOUNT,
    FSOPEN,
    FSCONFIG,
    FSMOUNT,
    FSPICK,
    MOUNT_SETATTR,
    QUOTACTL_FD,
    OPEN_TREE_ATTR,
];

#[cfg(target_arch = "x86_64")]
const DENIED_HERE: &[c_long] = &[libc::SYS_iopl, libc::SYS_ioperm, libc::SYS_modify_ldt];
#[cfg(not(target_arch = "x86_64"))]
const DENIED_HERE: &[c_long] = &[];

/// Told to be absent, so that programs do without: clone3's flags lie in memory, where a filter cannot look, and C
/// libraries fall back to clone.
const ABSENT: &[c_long] = &[CLONE3, IO_URING_SETUP, IO_URING_ENTER, IO_URING_REGISTER];

// Not in every C library's list. From 424 on they are the same on every architecture.
// https://github.com/torvalds/linux/blob/master/scripts/syscall.tbl
#[cfg(target_arch = "x86_64")]
const KEXEC_FILE_LOAD: c_long = 320;
#[cfg(not(target_arch = "x86_64"))]
const KEXEC_FILE_LOAD: c_long = 294;
const IO_URING_SETUP: c_long = 425;
const IO_URING_ENTER: c_long = 426;
const IO_URING_REGISTER: c_long = 427;
const OPEN_TREE: c_long = 428;
const MOVE_MOUNT: c_long = 429;
const FSOPEN: c_long = 430;
const FSCONFIG: c_long = 431;
const FSMOUNT: c_long = 432;
const FSPICK: c_long = 433;
const CLONE3: c_long = 435;
const MOUNT_SETATTR: c_long = 442;
const QUOTACTL_FD: c_long = 443;
const OPEN_TREE_ATTR: c_long = 467;

/// New namespaces of every kind; the one of time is for `unshare` alone, to `clone` its bit is part of a signal.
const NAMESPACES: [c_int; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];
const CLONE_NEWTIME: c_int = 0x80;

struct Filters {
    denied: BpfProgram,
    absent: BpfProgram,
}

static FILTERS: OnceLock<Filters> = OnceLock::new();

/// Builds the filters, for the processes that this one forks.
pub fn prepare() -> Result<(), BackendError> {
    let filters = Filters { denied: denied()?, absent: absent()? };
    let _ = FILTERS.set(filters);
    Ok(())
}

/// Lays the filters on the calling process and what it becomes; it must have no new privileges to gain.
pub fn install() -> Result<(), String> {
    let filters = FILTERS.get().ok_or("the system call filter was not prepared")?;
    for program in [&filters.denied, &filters.absent] {
        seccompiler::apply_filter(program)
            .map_err(|error| format!("failed to install the system call filter: {error}"))?;
    }
    Ok(())
}

fn denied() -> Result<BpfProgram, BackendError> {
    let always = DENIED.iter().chain(DENIED_HERE).map(|number| (*number, Vec::new()));
    let clone = NAMESPACES.into_iter().map(with_flag).collect::<Result<Vec<_>, _>>()?;
    let unshare =
        NAMESPACES.into_iter().chain([CLONE_NEWTIME]).map(with_flag).collect::<Result<Vec<_>, _>>()?;
    let rules = always.chain([(libc::SYS_clone, clone), (libc::SYS_unshare, unshare)]).collect();
    let refuse = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, std::env::consts::ARCH.try_into()?)?;
    let program: BpfProgram = filter.try_into()?;
    Ok(without_x32().into_iter().chain(program).collect())
}

fn absent() -> Result<BpfProgram, BackendError> {
    let rules = ABSENT.iter().map(|number| (*number, Vec::new())).collect();
    let refuse = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    SeccompFilter::new(rules, SeccompAction::Allow, refuse, std::env::consts::ARCH.try_into()?)?.try_into()
}

/// The flags are the first argument on both architectures.
fn with_flag(flag: c_int) -> Result<SeccompRule, BackendError> {
    let flag = u64::from(flag.unsigned_abs());
    let condition = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(flag), flag)?;
    SeccompRule::new(vec![condition])
}

/// On x86-64 every call has a second number, with bit 30 set, for the x32 ABI; elsewhere no call has so high a one.
/// `seccomp(2)`, "Architecture-specific details"
fn without_x32() -> [sock_filter; 3] {
    const LOAD_WORD: u16 = 0x20;
    const JUMP_IF_AT_LEAST: u16 = 0x35;
    const RETURN: u16 = 0x06;
    let refuse = libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs();
    [
        sock_filter { code: LOAD_WORD, jt: 0, jf: 0, k: 0 },
        sock_filter { code: JUMP_IF_AT_LEAST, jt: 0, jf: 1, k: 0x4000_0000 },
        sock_filter { code: RETURN, jt: 0, jf: 0, k: refuse },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filters_are_small() {
        let filters = [denied().unwrap().len(), absent().unwrap().len()];
        assert!(filters.iter().all(|length| (10..400).contains(length)), "{filters:?}");
    }

    #[test]
    fn calls_are_refused_with_their_errors() {
        prepare().unwrap();
        // A filter holds for one thread: this one ends with the test.
        let thread = std::thread::spawn(|| {
            install().unwrap();
            let check = |what: &str, number: c_long, argument: c_int, expected: c_int| {
                assert_eq!(errno_of(number, argument), expected, "{what}");
            };
            for flag in NAMESPACES {
                check("clone", libc::SYS_clone, flag | libc::SIGCHLD, libc::EPERM);
                check("unshare", libc::SYS_unshare, flag | libc::CLONE_FS, libc::EPERM);
            }
            check("unshare of time", libc::SYS_unshare, CLONE_NEWTIME, libc::EPERM);
            check("unshare of files", libc::SYS_unshare, libc::CLONE_FILES, 0);
            for number in DENIED.iter().chain(DENIED_HERE) {
                check("denied", *number, 0, libc::EPERM);
            }
            for number in ABSENT {
                check("absent", *number, 0, libc::ENOSYS);
            }
            if cfg!(target_arch = "x86_64") {
                check("x32 unshare", libc::SYS_unshare | 0x4000_0000, libc::CLONE_NEWUSER, libc::ENOSYS);
            }
            assert_eq!(std::thread::spawn(|| 7).join().unwrap(), 7, "threads are made without clone3");
        });
        thread.join().unwrap();
    }

    #[allow(unsafe_code)]
    fn errno_of(number: c_long, argument: c_int) -> c_int {
        // SAFETY: the call is refused before it does anything, or takes the one number only.
        // https://man7.org/linux/man-pages/man2/syscall.2.html
        let result = unsafe { libc::syscall(number, c_long::from(argument), 0, 0, 0, 0) };
        if result == -1 { std::io::Error::last_os_error().raw_os_error().unwrap() } else { 0 }
    }
}
