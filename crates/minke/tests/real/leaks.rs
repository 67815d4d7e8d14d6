//! What may be left on a host: counted before and after.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Everything that belongs to the platform of one data directory, or to none.
#[derive(Debug, PartialEq, Eq)]
pub struct Leaks {
    mounts: usize,
    cgroups: BTreeSet<String>,
    processes: BTreeSet<String>,
    network_namespaces: usize,
    replica_folders: BTreeSet<String>,
    temporary_files: BTreeSet<String>,
}

impl Leaks {
    pub fn count(data_dir: &Path) -> Self {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let prefix = data_dir.to_str().unwrap();
        Self {
            mounts: mounts.lines().filter(|line| line.contains(prefix)).count(),
            cgroups: cgroups(data_dir),
            processes: processes(prefix),
            network_namespaces: network_namespaces(),
            replica_folders: ["containers/replicas", "containers/run"]
                .iter()
                .flat_map(|f| names(&data_dir.join(f)))
                .collect(),
            temporary_files: names(&data_dir.join("images/tmp")),
        }
    }
}

/// Cgroups of this instance's, on every hierarchy.
fn cgroups(data_dir: &Path) -> BTreeSet<String> {
    let Ok(instance) = fs::read_to_string(data_dir.join("instance")) else { return BTreeSet::new() };
    let name = format!("minke-{}", instance.trim());
    let mut found = BTreeSet::new();
    for root in std::iter::once("/sys/fs/cgroup".to_owned()).chain(names(Path::new("/sys/fs/cgroup"))) {
        let folder = Path::new("/sys/fs/cgroup").join(root).join(&name);
        found.extend(names(&folder).into_iter().filter(|child| folder.join(child).is_dir()));
    }
    found
}

/// Processes that were started for this data directory.
fn processes(prefix: &str) -> BTreeSet<String> {
    let command = |pid: &String| fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let pids = names(Path::new("/proc")).into_iter().filter(|name| name.bytes().all(|b| b.is_ascii_digit()));
    pids.filter(|pid| String::from_utf8_lossy(&command(pid)).contains(prefix)).collect()
}

fn network_namespaces() -> usize {
    let pids = names(Path::new("/proc")).into_iter().filter(|name| name.bytes().all(|b| b.is_ascii_digit()));
    let links = pids.filter_map(|pid| fs::read_link(format!("/proc/{pid}/ns/net")).ok());
    links.collect::<BTreeSet<_>>().len()
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}
