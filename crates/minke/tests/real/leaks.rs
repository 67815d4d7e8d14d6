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
        let processes = processes(data_dir);
        Self {
            mounts: mounts.lines().filter(|line| line.contains(prefix)).count(),
            cgroups: cgroups(data_dir),
            network_namespaces: network_namespaces(&processes),
            processes,
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
    let Some(name) = instance(data_dir) else { return BTreeSet::new() };
    let mut found = BTreeSet::new();
    for root in std::iter::once("/sys/fs/cgroup".to_owned()).chain(names(Path::new("/sys/fs/cgroup"))) {
        let folder = Path::new("/sys/fs/cgroup").join(root).join(&name);
        found.extend(names(&folder).into_iter().filter(|child| folder.join(child).is_dir()));
    }
    found
}

/// Processes that were started for this data directory, and those of its replicas.
fn processes(data_dir: &Path) -> BTreeSet<String> {
    let prefix = data_dir.to_str().unwrap();
    let cgroup = instance(data_dir).map(|name| format!("/{name}/"));
    let is_ours = |pid: &String| {
        let read = |file: &str| fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let holds = |file: &str, text: &str| String::from_utf8_lossy(&read(file)).contains(text);
        holds("cmdline", prefix) || cgroup.as_ref().is_some_and(|cgroup| holds("cgroup", cgroup))
    };
    let pids = names(Path::new("/proc")).into_iter().filter(|name| name.bytes().all(|b| b.is_ascii_digit()));
    pids.filter(is_ours).collect()
}

/// Network namespaces that these processes live in.
fn network_namespaces(processes: &BTreeSet<String>) -> usize {
    let links = processes.iter().filter_map(|pid| fs::read_link(format!("/proc/{pid}/ns/net")).ok());
    links.collect::<BTreeSet<_>>().len()
}

fn instance(data_dir: &Path) -> Option<String> {
    let instance = fs::read_to_string(data_dir.join("instance")).ok()?;
    Some(format!("minke-{}", instance.trim()))
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}
