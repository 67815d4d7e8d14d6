//! What the numbers were measured on, and how much memory processes hold.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;

use crate::process::find;

/// Resident memory (VmRSS) of processes; pages that they share count in each.
pub struct Resident {
    pub name: &'static str,
    pub kib: u64,
    pub processes: usize,
}

/// Which of the processes that descend from one are counted, itself among them.
#[derive(Clone, Copy)]
pub enum Of {
    All,
    /// Those that run the same program.
    Own,
    Others,
}

pub fn resident(name: &'static str, root: u32, of: Of) -> Resident {
    let program = |pid: u32| fs::read_link(format!("/proc/{pid}/exe")).ok();
    let own = program(root);
    let counted = |pid: &u32| match of {
        Of::All => true,
        Of::Own => program(*pid) == own,
        Of::Others => program(*pid) != own,
    };
    let processes: Vec<u32> = family(root).into_iter().filter(counted).collect();
    let kib = processes.iter().filter_map(|pid| status_number(*pid, "VmRSS:")).sum();
    Resident { name, kib, processes: processes.len() }
}

/// How busy the machine is, before the driver makes it so.
pub fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().unwrap_or("unknown").to_owned()
}

/// What the machine is, as lines of a table.
pub fn describe(load_before: String) -> Vec<(&'static str, String)> {
    let cpu = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".into());
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let memory_kib: u64 =
        field("/proc/meminfo", "MemTotal").and_then(|text| first_number(&text)).unwrap_or(0);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cgroup = if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() { "v2" } else { "v1" };
    let system = field("/etc/os-release", "PRETTY_NAME").unwrap_or_default();
    vec![
        ("date", jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string()),
        ("commit", said("git", &["describe", "--always", "--dirty"])),
        ("processor", format!("{cpu}, {cores} cores (all that follows shares them)")),
        ("load average before", load_before),
        ("memory", format!("{:.1} GiB", memory_kib as f64 / 1024.0 / 1024.0)),
        ("system", system.trim_matches('"').to_owned()),
        ("kernel", format!("{}, cgroup {cgroup}", kernel.trim())),
        ("nginx", said("nginx", &["-v"]).replace("nginx version: nginx/", "")),
        ("rustc", said("rustc", &["--version"])),
    ]
}

fn family(root: u32) -> Vec<u32> {
    let mut children: HashMap<u64, Vec<u32>> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        if let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) {
            children.entry(status_number(pid, "PPid:").unwrap_or(0)).or_default().push(pid);
        }
    }
    let mut family = vec![root];
    let mut next = 0;
    while let Some(pid) = family.get(next) {
        family.extend(children.remove(&u64::from(*pid)).unwrap_or_default());
        next += 1;
    }
    family
}

fn status_number(pid: u32, name: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    first_number(status.lines().find_map(|line| line.strip_prefix(name))?)
}

fn first_number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

/// The value of the first `name: value` or `NAME=value` in a file.
fn field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(value.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, ':' | '=')).to_owned())
}

/// What a program says of itself, on either stream.
fn said(program: &str, args: &[&str]) -> String {
    let output = find(program).and_then(|path| Command::new(path).args(args).output().ok());
    let text = output.map(|output| [output.stdout, output.stderr].concat()).unwrap_or_default();
    String::from_utf8_lossy(&text).lines().next().unwrap_or("unknown").to_owned()
}
