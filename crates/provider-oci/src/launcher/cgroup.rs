//! Control groups, v1 and v2: found once, held as directory descriptors, then used by name.
//!
//! libcontainer's own handling is not used: it searches the mount table some dozen times for each container.

use std::ffi::CString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, Signal};

use crate::container::Limits;

const CPU_PERIOD_US: u64 = 100_000;
const READ_BYTES_MAX: u64 = 1024 * 1024;
/// How far down a removal goes, with a descriptor open at each level.
const DEPTH_MAX: usize = 128;
const CHILDREN_MAX: usize = 16 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    #[error("failed to read the mount table")]
    MountTable(#[source] std::io::Error),
    #[error("no cgroup hierarchy is mounted below /sys/fs/cgroup, mount cgroup2 there")]
    NoHierarchy,
    #[error("a {limit} limit needs the cgroup controller {controller}, which this host does not offer")]
    NoController { limit: &'static str, controller: &'static str },
    #[error("failed to {verb} cgroup {path}")]
    Io {
        verb: &'static str,
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error("cgroup {path} still holds processes after {waited_ms} ms")]
    Busy { path: String, waited_ms: u128 },
}

/// The hierarchies of this host, each with the folder of this instance.
#[derive(Debug)]
pub struct Cgroups {
    parent: String,
    hierarchies: Vec<Hierarchy>,
}

#[derive(Debug)]
struct Hierarchy {
    root: OwnedFd,
    version: Version,
    controllers: Vec<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    V1,
    V2,
}

/// The controllers that are worth a directory; `freezer` and `cpuacct` for idle replicas and their usage.
const CONTROLLERS: [&str; 5] = ["memory", "cpu", "pids", "freezer", "cpuacct"];

impl Cgroups {
    /// Finds the hierarchies and makes `parent`, the folder of this instance, in each.
    pub fn open(parent: &str) -> Result<Cgroups, CgroupError> {
        let cgroups = Self::find(parent)?;
        cgroups.make_parent()?;
        Ok(cgroups)
    }

    /// To look at what another process makes.
    pub fn find(parent: &str) -> Result<Cgroups, CgroupError> {
        let table = std::fs::read_to_string("/proc/self/mountinfo").map_err(CgroupError::MountTable)?;
        let mut hierarchies: Vec<Hierarchy> = Vec::new();
        for mount in cgroup_mounts(&table) {
            let Ok(root) = rustix::fs::open(&mount.path, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            else {
                continue;
            };
            let offered = match mount.version {
                Version::V1 => mount.controllers,
                Version::V2 => read_at(&root, "cgroup.controllers").unwrap_or_default(),
            };
            let taken = |name: &str| hierarchies.iter().any(|h| h.controllers.contains(&name));
            let offers = |name: &str| offered.split([',', ' ', '\n']).any(|word| word == name);
            let controllers: Vec<_> = CONTROLLERS.into_iter().filter(|c| offers(c) && !taken(c)).collect();
            if !controllers.is_empty() {
                hierarchies.push(Hierarchy { root, version: mount.version, controllers });
            }
        }
        if hierarchies.is_empty() {
            return Err(CgroupError::NoHierarchy);
        }
        Ok(Cgroups { parent: parent.to_owned(), hierarchies })
    }

    fn make_parent(&self) -> Result<(), CgroupError> {
        for hierarchy in &self.hierarchies {
            if hierarchy.version == Version::V2 {
                hierarchy.delegate("cgroup.subtree_control");
            }
            hierarchy.make(&self.parent)?;
            if hierarchy.version == Version::V2 {
                hierarchy.delegate(&format!("{}/cgroup.subtree_control", self.parent));
            }
        }
        Ok(())
    }

    /// Makes the container's cgroups with their limits, except the one on cpu: see [`Cgroups::limit_cpu`].
    pub fn create(&self, id: &str, limits: &Limits) -> Result<(), CgroupError> {
        for hierarchy in &self.hierarchies {
            hierarchy.make(&self.path(id))?;
            if hierarchy.version == Version::V2 {
                hierarchy.forbid_children(&self.path(id))?;
            }
        }
        if let Some(bytes) = limits.memory_bytes {
            let hierarchy = self.with("memory", "memory")?;
            let bytes = bytes.to_string();
            match hierarchy.version {
                Version::V1 => {
                    hierarchy.write(&self.path(id), "memory.limit_in_bytes", &bytes)?;
                    // Absent where the kernel does not account swap.
                    let _ = hierarchy.write(&self.path(id), "memory.memsw.limit_in_bytes", &bytes);
                }
                Version::V2 => {
                    hierarchy.write(&self.path(id), "memory.max", &bytes)?;
                    let _ = hierarchy.write(&self.path(id), "memory.swap.max", "0");
                    let _ = hierarchy.write(&self.path(id), "memory.oom.group", "1");
                }
            }
        }
        let hierarchy = self.with("process", "pids")?;
        hierarchy.write(&self.path(id), "pids.max", &limits.pids_max.to_string())
    }

    /// Moves the calling process, which has one thread, and so everything it forks from here on, into the
    /// container's cgroups.
    pub fn join(&self, id: &str) -> Result<(), CgroupError> {
        for hierarchy in &self.hierarchies {
            let file = match hierarchy.version {
                // To move oneself as a thread takes no lock over all processes, which on a busy host is long in coming.
                Version::V1 => "tasks",
                Version::V2 => "cgroup.procs",
            };
            hierarchy.write(&self.path(id), file, "0")?;
        }
        Ok(())
    }

    /// Apart from the other limits, so that a small share of a core does not slow the container's own set-up.
    pub fn limit_cpu(&self, id: &str, limits: &Limits) -> Result<(), CgroupError> {
        let Some(millis) = limits.cpu_millis else { return Ok(()) };
        let hierarchy = self.with("cpu", "cpu")?;
        let quota = millis.saturating_mul(CPU_PERIOD_US) / 1000;
        match hierarchy.version {
            Version::V1 => {
                hierarchy.write(&self.path(id), "cpu.cfs_period_us", &CPU_PERIOD_US.to_string())?;
                hierarchy.write(&self.path(id), "cpu.cfs_quota_us", &quota.to_string())
            }
            Version::V2 => hierarchy.write(&self.path(id), "cpu.max", &format!("{quota} {CPU_PERIOD_US}")),
        }
    }

    /// Whether the kernel killed something of the container at its memory limit.
    pub fn was_out_of_memory(&self, id: &str) -> bool {
        let Ok(hierarchy) = self.with("memory", "memory") else { return false };
        let file = match hierarchy.version {
            Version::V1 => "memory.oom_control",
            Version::V2 => "memory.events",
        };
        let text = read_at(&hierarchy.root, &format!("{}/{file}", self.path(id))).unwrap_or_default();
        text.lines().any(|line| line.strip_prefix("oom_kill ").is_some_and(|count| count.trim() != "0"))
    }

    /// What the container has used of the processors since it began.
    pub fn cpu_us(&self, id: &str) -> Option<u64> {
        let hierarchy = self.with("cpu", "cpuacct").or_else(|_| self.with("cpu", "cpu")).ok()?;
        match hierarchy.version {
            Version::V1 => {
                Some(self.read(hierarchy, id, "cpuacct.usage")?.trim().parse::<u64>().ok()? / 1000)
            }
            Version::V2 => value_of(&self.read(hierarchy, id, "cpu.stat")?, "usage_usec"),
        }
    }

    /// What the container holds of the memory and cannot be taken from it at once.
    pub fn memory_bytes(&self, id: &str) -> Option<u64> {
        let hierarchy = self.with("memory", "memory").ok()?;
        let (file, inactive) = match hierarchy.version {
            Version::V1 => ("memory.usage_in_bytes", "total_inactive_file"),
            Version::V2 => ("memory.current", "inactive_file"),
        };
        let used: u64 = self.read(hierarchy, id, file)?.trim().parse().ok()?;
        let inactive = value_of(&self.read(hierarchy, id, "memory.stat")?, inactive);
        Some(used.saturating_sub(inactive.unwrap_or_default()))
    }

    fn read(&self, hierarchy: &Hierarchy, id: &str, file: &str) -> Option<String> {
        read_at(&hierarchy.root, &format!("{}/{file}", self.path(id))).ok()
    }

    /// Every container of this instance that has a cgroup left.
    pub fn ids(&self) -> Vec<String> {
        let mut ids: Vec<String> = self
            .hierarchies
            .iter()
            .filter_map(|hierarchy| open_dir(&hierarchy.root, &self.parent).ok())
            .flat_map(|dir| children(&dir))
            .filter_map(|name| name.into_string().ok())
            .collect();
        ids.sort();
        ids.dedup();
        ids
    }

    /// Kills what is in the container's cgroups, then removes them, in every hierarchy; the first error is told.
    pub fn remove(&self, id: &str, patience: Duration) -> Result<(), CgroupError> {
        let begun = Instant::now();
        let path = self.path(id);
        let removed = self.hierarchies.iter().map(|hierarchy| hierarchy.remove(&path, begun, patience));
        removed.fold(Ok(()), Result::and)
    }

    /// Removes the folder of this instance, if nothing is in it.
    pub fn remove_parent(&self) {
        for hierarchy in &self.hierarchies {
            let _ = rustix::fs::unlinkat(&hierarchy.root, &self.parent, AtFlags::REMOVEDIR);
        }
    }

    fn with(&self, limit: &'static str, controller: &'static str) -> Result<&Hierarchy, CgroupError> {
        let found = self.hierarchies.iter().find(|h| h.controllers.contains(&controller));
        found.ok_or(CgroupError::NoController { limit, controller })
    }

    fn path(&self, id: &str) -> String {
        format!("{}/{id}", self.parent)
    }
}

impl Hierarchy {
    /// Lets children have the controllers. Another manager may have done so, or may forbid it: a limit tells then.
    fn delegate(&self, file: &str) {
        for controller in &self.controllers {
            let _ = write_at(&self.root, file, &format!("+{controller}"));
        }
    }

    fn make(&self, path: &str) -> Result<(), CgroupError> {
        match rustix::fs::mkdirat(&self.root, path, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(errno) => Err(io("create", path, errno)),
        }
    }

    /// Kernels before 4.14 cannot.
    fn forbid_children(&self, path: &str) -> Result<(), CgroupError> {
        match self.write(path, "cgroup.max.descendants", "0") {
            Err(CgroupError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    fn write(&self, path: &str, file: &str, text: &str) -> Result<(), CgroupError> {
        let path = format!("{path}/{file}");
        write_at(&self.root, &path, text).map_err(|source| CgroupError::Io { verb: "write", path, source })
    }

    fn remove(&self, path: &str, begun: Instant, patience: Duration) -> Result<(), CgroupError> {
        let mut pause = Duration::from_micros(200);
        loop {
            match rustix::fs::unlinkat(&self.root, path, AtFlags::REMOVEDIR) {
                Ok(()) | Err(Errno::NOENT) => return Ok(()),
                Err(Errno::BUSY) if begun.elapsed() < patience => {
                    if let Ok(dir) = open_dir(&self.root, path) {
                        empty(&dir, DEPTH_MAX, begun + patience);
                    }
                }
                Err(Errno::BUSY) => {
                    let waited_ms = begun.elapsed().as_millis();
                    return Err(CgroupError::Busy { path: path.to_owned(), waited_ms });
                }
                Err(errno) => return Err(io("remove", path, errno)),
            }
            // A cgroup is busy until its last process is reaped, and the kernel tells nobody on v1.
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        }
    }
}

/// Kills what is in a cgroup and in those below it, and removes those below, the deepest first.
fn empty(dir: &OwnedFd, depth: usize, deadline: Instant) {
    let procs = read_at(dir, "cgroup.procs").unwrap_or_default();
    for pid in procs.lines().filter_map(|line| line.parse().ok()).filter_map(Pid::from_raw) {
        let _ = rustix::process::kill_process(pid, Signal::KILL);
    }
    for name in children(dir) {
        if depth == 0 || Instant::now() >= deadline {
            return;
        }
        if rustix::fs::unlinkat(dir, &name, AtFlags::REMOVEDIR) == Err(Errno::BUSY)
            && let Ok(child) = open_dir(dir, &name)
        {
            empty(&child, depth - 1, deadline);
            let _ = rustix::fs::unlinkat(dir, &name, AtFlags::REMOVEDIR);
        }
    }
}

/// Of a line `<name> <number>`.
fn value_of(text: &str, name: &str) -> Option<u64> {
    let lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.into_iter().find(|(known, _)| *known == name)?.1.trim().parse().ok()
}

fn open_dir(dir: &OwnedFd, path: impl rustix::path::Arg) -> rustix::io::Result<OwnedFd> {
    rustix::fs::openat(dir, path, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// Names of the cgroups right below, some at a time: a container may have made very many.
fn children(dir: &OwnedFd) -> Vec<CString> {
    let Ok(entries) = rustix::fs::Dir::read_from(dir) else { return Vec::new() };
    entries
        .flatten()
        .filter(|entry| entry.file_type() == rustix::fs::FileType::Directory)
        .map(|entry| entry.file_name().to_owned())
        .filter(|name| name.as_c_str() != c"." && name.as_c_str() != c"..")
        .take(CHILDREN_MAX)
        .collect()
}

struct CgroupMount {
    path: String,
    version: Version,
    controllers: String,
}

/// Lines of `proc_pid_mountinfo(5)`: `36 35 0:30 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu`; v1 comes first,
/// since where both are mounted a controller belongs to v1.
fn cgroup_mounts(table: &str) -> Vec<CgroupMount> {
    let parse = |line: &str| {
        let (left, right) = line.split_once(" - ")?;
        let path = left.split(' ').nth(4)?.to_owned();
        let mut right = right.split(' ');
        let version = match right.next()? {
            "cgroup" => Version::V1,
            "cgroup2" => Version::V2,
            _ => return None,
        };
        let controllers = right.nth(1).unwrap_or_default().to_owned();
        Some(CgroupMount { path, version, controllers })
    };
    let mut mounts: Vec<_> = table.lines().filter_map(parse).collect();
    mounts.sort_by_key(|mount| mount.version == Version::V2);
    mounts
}

fn read_at(dir: &OwnedFd, path: &str) -> std::io::Result<String> {
    let fd = rustix::fs::openat(dir, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut text = String::new();
    File::from(fd).take(READ_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

fn write_at(dir: &OwnedFd, path: &str, text: &str) -> std::io::Result<()> {
    let fd = rustix::fs::openat(dir, path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    File::from(fd).write_all(text.as_bytes())
}

fn io(verb: &'static str, path: &str, errno: Errno) -> CgroupError {
    CgroupError::Io { verb, path: path.to_owned(), source: errno.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_of_both_versions_are_found_v1_first() {
        let table = "29 23 0:26 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw\n\
                     30 23 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
                     31 23 0:28 / / rw - ext4 /dev/vda rw\n";
        let found: Vec<_> =
            cgroup_mounts(table).into_iter().map(|m| (m.path, m.version, m.controllers)).collect();
        let expected = [
            ("/sys/fs/cgroup/cpu,cpuacct".to_owned(), Version::V1, "rw,cpu,cpuacct".to_owned()),
            ("/sys/fs/cgroup/unified".to_owned(), Version::V2, "rw".to_owned()),
        ];
        assert_eq!(found, expected);
    }

    /// A folder with the files of a container's cgroup, as the kernel would make them.
    fn fake(version: Version, files: &[&str]) -> (tempfile::TempDir, Cgroups) {
        let dir = tempfile::tempdir().unwrap();
        let group = dir.path().join("minke/a");
        std::fs::create_dir_all(&group).unwrap();
        files.iter().for_each(|file| std::fs::write(group.join(file), "").unwrap());
        let root = rustix::fs::open(dir.path(), OFlags::DIRECTORY, Mode::empty()).unwrap();
        let hierarchy = Hierarchy { root, version, controllers: vec!["memory", "cpu", "pids"] };
        (dir, Cgroups { parent: "minke".to_owned(), hierarchies: vec![hierarchy] })
    }

    #[test]
    fn limits_are_written_as_each_version_reads_them() {
        let check = |version: Version, expected: &[(&str, &str)]| {
            let files: Vec<_> = expected.iter().map(|(file, _)| *file).collect();
            let (dir, cgroups) = fake(version, &files);
            let limits = Limits { memory_bytes: Some(64 << 20), cpu_millis: Some(1500), pids_max: 9 };
            cgroups.create("a", &limits).unwrap();
            cgroups.join("a").unwrap();
            cgroups.limit_cpu("a", &limits).unwrap();
            for (file, text) in expected {
                assert_eq!(
                    std::fs::read_to_string(dir.path().join("minke/a").join(file)).unwrap(),
                    *text,
                    "{file}"
                );
            }
            assert_eq!(cgroups.ids(), ["a"]);
        };
        let v1 = [
            ("memory.limit_in_bytes", "67108864"),
            ("memory.memsw.limit_in_bytes", "67108864"),
            ("cpu.cfs_period_us", "100000"),
            ("cpu.cfs_quota_us", "150000"),
            ("pids.max", "9"),
            ("tasks", "0"),
        ];
        check(Version::V1, &v1);
        let v2 = [
            ("memory.max", "67108864"),
            ("memory.swap.max", "0"),
            ("memory.oom.group", "1"),
            ("cpu.max", "150000 100000"),
            ("pids.max", "9"),
            ("cgroup.procs", "0"),
            ("cgroup.max.descendants", "0"),
        ];
        check(Version::V2, &v2);
    }

    #[test]
    fn a_limit_without_its_controller_is_refused() {
        let (_dir, mut cgroups) = fake(Version::V2, &["pids.max"]);
        cgroups.hierarchies[0].controllers = vec!["pids"];
        let limits = Limits { memory_bytes: Some(64 << 20), ..Limits::default() };
        assert!(matches!(
            cgroups.create("a", &limits),
            Err(CgroupError::NoController { limit: "memory", .. })
        ));
        cgroups.create("a", &Limits::default()).unwrap();
    }

    #[test]
    fn usage_is_read_as_each_version_tells_it() {
        let check = |version: Version, files: &[(&str, &str)]| {
            let (dir, mut cgroups) = fake(version, &[]);
            if version == Version::V1 {
                cgroups.hierarchies[0].controllers.push("cpuacct");
            }
            assert_eq!((cgroups.cpu_us("a"), cgroups.memory_bytes("a")), (None, None), "it has ended");
            for (file, text) in files {
                std::fs::write(dir.path().join("minke/a").join(file), text).unwrap();
            }
            assert_eq!((cgroups.cpu_us("a"), cgroups.memory_bytes("a")), (Some(1500), Some(700)));
        };
        let stat = "inactive_file 1\ntotal_inactive_file 300\n";
        check(
            Version::V1,
            &[("cpuacct.usage", "1500999\n"), ("memory.usage_in_bytes", "1000\n"), ("memory.stat", stat)],
        );
        let cpu = "usage_usec 1500\nuser_usec 1\n";
        let stat = "anon 5\ninactive_file 300\n";
        check(Version::V2, &[("cpu.stat", cpu), ("memory.current", "1000\n"), ("memory.stat", stat)]);
    }

    #[test]
    fn a_death_at_the_memory_limit_is_told_from_others() {
        let check = |version: Version, file: &str, text: &str, expected: bool| {
            let (dir, cgroups) = fake(version, &[]);
            std::fs::write(dir.path().join("minke/a").join(file), text).unwrap();
            assert_eq!(cgroups.was_out_of_memory("a"), expected, "{text:?}");
        };
        check(Version::V1, "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n", true);
        check(Version::V1, "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n", false);
        check(Version::V2, "memory.events", "low 0\noom 1\noom_kill 2\noom_group_kill 0\n", true);
        check(Version::V2, "memory.events", "low 0\noom_kill 0\noom_group_kill 1\n", false);
    }
}
