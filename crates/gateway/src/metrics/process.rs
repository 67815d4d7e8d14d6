//! The process as the system sees it, under the names that Prometheus' own clients give (Linux; elsewhere nothing).

use std::fs;

use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

pub(super) struct Process {
    pub cpu_seconds: f64,
    pub virtual_bytes: u64,
    pub resident_bytes: u64,
    pub open_fds: u64,
    /// None is no limit.
    pub max_fds: Option<u64>,
    pub started_seconds: f64,
}

impl Process {
    /// proc_pid_statm(5), proc_pid_stat(5), proc_stat(5).
    pub fn read() -> Option<Self> {
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        let statm = fs::read_to_string("/proc/self/statm").ok()?;
        let mut pages = statm.split(' ').map(|field| field.parse::<u64>().ok());
        let page_bytes = rustix::param::page_size() as u64;
        Some(Self {
            cpu_seconds: cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9,
            virtual_bytes: pages.next()?? * page_bytes,
            resident_bytes: pages.next()?? * page_bytes,
            // The folder that is being read is one of them.
            open_fds: (fs::read_dir("/proc/self/fd").ok()?.count() as u64).saturating_sub(1),
            max_fds: getrlimit(Resource::Nofile).current,
            started_seconds: started_seconds()?,
        })
    }
}

fn started_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name may hold spaces and parentheses; the start is the 20th field after it.
    let ticks = stat.rsplit_once(") ")?.1.split(' ').nth(19)?.parse::<u64>().ok()?;
    let booted = fs::read_to_string("/proc/stat").ok()?;
    let booted = booted.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse::<u64>().ok()?;
    Some(booted as f64 + ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use super::*;

    #[test]
    fn this_process_is_what_it_is() {
        let before = Process::read().unwrap();
        let _open = fs::File::open("/dev/null").unwrap();
        let after = Process::read().unwrap();
        assert!(after.cpu_seconds >= before.cpu_seconds);
        assert!(after.virtual_bytes >= after.resident_bytes && after.resident_bytes > 100_000);
        assert!(after.open_fds > 0 && after.max_fds.is_none_or(|max| max >= after.open_fds));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        let age = now - after.started_seconds;
        assert!((-2.0..3600.0).contains(&age), "it began {age} s ago");
    }
}
