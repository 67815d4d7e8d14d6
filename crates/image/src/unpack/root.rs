//! The directory that a layer is unpacked into. The kernel resolves every path beneath it (openat2(2) with
//! RESOLVE_BENEATH), so neither a symbolic link nor a race leads out.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags,
    chmodat, chownat, fchmod, fchown, fsetxattr, futimens, linkat, makedev, mkdirat, mknodat, openat2,
    statat, symlinkat, unlinkat, utimensat,
};
use rustix::io::Errno;

use super::name::Name;
use super::{Budget, Failure, Problem};

pub(super) struct Root<'a> {
    fd: OwnedFd,
    pub budget: &'a mut Budget,
    /// The directory of the last entry; archives go directory by directory.
    last_parent: Option<(PathBuf, OwnedFd)>,
    /// Of the directories that have an entry. Set at the end, because each new entry changes its directory's time.
    directory_times: BTreeMap<PathBuf, Timespec>,
    /// Bytes of the paths in `directory_times`, which are kept in memory.
    paths: u64,
    paths_max: u64,
}

/// Owner, mode and time of an entry.
#[derive(Debug, Clone)]
pub(super) struct Metadata {
    uid: u32,
    gid: u32,
    mode: u32,
    mtime: Timespec,
    pub device: Option<(u32, u32)>,
}

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
const EPOCH: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

impl<'a> Root<'a> {
    pub(super) fn open(path: &Path, paths_max: u64, budget: &'a mut Budget) -> std::io::Result<Self> {
        let fd = rustix::fs::open(path, DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?;
        Ok(Self { fd, budget, last_parent: None, directory_times: BTreeMap::new(), paths: 0, paths_max })
    }

    pub(super) fn directory(&mut self, name: &Name, metadata: &Metadata) -> Result<(), Failure> {
        let Some(file_name) = name.file_name() else {
            return self.finish_directory(name, metadata);
        };
        let parent = self.parent(name)?;
        match mkdirat(&parent, file_name, Mode::from_raw_mode(0o700)) {
            Ok(()) => {}
            Err(Errno::EXIST) => match self.kind(&parent, file_name)? {
                Some(Kind::Directory) => {}
                Some(kind) => {
                    self.unlink(&parent, file_name)?;
                    mkdirat(&parent, file_name, Mode::from_raw_mode(0o700))?;
                    if kind == Kind::Whiteout {
                        self.set_opaque(name)?;
                    }
                }
                None => return Err(Errno::EXIST.into()),
            },
            Err(error) => return Err(error.into()),
        }
        self.finish_directory(name, metadata)
    }

    /// A new, empty file, whatever had the name.
    pub(super) fn create(&mut self, name: &Name) -> Result<File, Failure> {
        let (parent, file_name) = self.place(name)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(File::from(rustix::fs::openat(&parent, &file_name, flags, Mode::from_raw_mode(0o600))?))
    }

    pub(super) fn symlink(&mut self, name: &Name, target: &[u8], metadata: &Metadata) -> Result<(), Failure> {
        if target.is_empty() || target.contains(&0) || target.len() > 4095 {
            return Err(Problem::Header.into());
        }
        let (parent, file_name) = self.place(name)?;
        symlinkat(OsStr::from_bytes(target), &parent, &file_name)?;
        metadata.apply_at(&parent, &file_name)
    }

    pub(super) fn hard_link(&mut self, name: &Name, target: &Name) -> Result<(), Failure> {
        let Some(target_name) = target.file_name() else { return Err(Problem::HardLinkTarget.into()) };
        let from = match self.open_directory(&target.parent()) {
            Err(Failure::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(Problem::HardLinkTarget.into());
            }
            result => result?,
        };
        if self.kind(&from, target_name)? != Some(Kind::Other) {
            return Err(Problem::HardLinkTarget.into());
        }
        // A link to itself must not remove itself first.
        if name == target {
            return Ok(());
        }
        let (parent, file_name) = self.place(name)?;
        match linkat(&from, target_name, &parent, &file_name, AtFlags::empty()) {
            // The link's name led, by a symbolic link, to its own target, which `place` has removed.
            Err(Errno::NOENT) => Err(Problem::HardLinkTarget.into()),
            result => Ok(result?),
        }
    }

    pub(super) fn fifo(&mut self, name: &Name, metadata: &Metadata) -> Result<(), Failure> {
        let (parent, file_name) = self.place(name)?;
        mknodat(&parent, &file_name, FileType::Fifo, Mode::from_raw_mode(0o600), 0)?;
        metadata.apply_at(&parent, &file_name)?;
        Ok(chmodat(&parent, &file_name, metadata.mode(), AtFlags::empty())?)
    }

    /// overlayfs reads a character device 0/0 as "gone".
    pub(super) fn whiteout(&mut self, name: &Name) -> Result<(), Failure> {
        let Some(file_name) = name.file_name() else { return Err(Problem::Whiteout.into()) };
        let parent = self.parent(name)?;
        match self.kind(&parent, file_name)? {
            // What the same layer has stays (a whiteout is about lower layers); of a directory it hides what is below.
            Some(Kind::Directory) => self.set_opaque(name),
            Some(_) => Ok(()),
            None => {
                mknodat(&parent, file_name, FileType::CharacterDevice, Mode::empty(), makedev(0, 0))?;
                Ok(())
            }
        }
    }

    pub(super) fn make_opaque(&mut self, name: Name) -> Result<(), Failure> {
        self.ensure_directory(&name)?;
        self.set_opaque(&name)
    }

    pub(super) fn finish(&mut self) -> Result<(), Failure> {
        for (path, mtime) in std::mem::take(&mut self.directory_times) {
            let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
            match openat2(&self.fd, &path, DIRECTORY, Mode::empty(), resolve) {
                Ok(fd) => futimens(&fd, &times(mtime))?,
                // Reached through a symbolic link when it was made; its time is not worth more.
                Err(Errno::LOOP | Errno::NOENT | Errno::NOTDIR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// The parent directory and the last part of a name, with nothing at it any more.
    fn place(&mut self, name: &Name) -> Result<(OwnedFd, std::ffi::OsString), Failure> {
        let Some(file_name) = name.file_name() else { return Err(Problem::ReplacesDirectory.into()) };
        let parent = self.parent(name)?;
        match self.kind(&parent, file_name)? {
            None => {}
            Some(Kind::Directory) => return Err(Problem::ReplacesDirectory.into()),
            Some(_) => self.unlink(&parent, file_name)?,
        }
        Ok((parent, file_name.to_owned()))
    }

    fn parent(&mut self, name: &Name) -> Result<OwnedFd, Failure> {
        self.ensure_directory(&name.parent())
    }

    fn ensure_directory(&mut self, name: &Name) -> Result<OwnedFd, Failure> {
        let path = name.path();
        if let Some((last, fd)) = &self.last_parent
            && *last == path
        {
            return Ok(fd.try_clone()?);
        }
        let fd = match self.open_directory(name) {
            Ok(fd) => fd,
            Err(_) => self.make_directories(name)?,
        };
        self.last_parent = Some((path, fd.try_clone()?));
        Ok(fd)
    }

    /// Archives may leave out the directories that their entries stand in.
    fn make_directories(&mut self, name: &Name) -> Result<OwnedFd, Failure> {
        let mut parent = self.open_directory(&name.prefix(0))?;
        for count in 1..=name.components().len() {
            let prefix = name.prefix(count);
            let part = &name.components()[count - 1];
            let kind = self.kind(&parent, part)?;
            if matches!(kind, None | Some(Kind::Whiteout)) {
                if kind.is_some() {
                    self.unlink(&parent, part)?;
                }
                self.budget.name()?;
                mkdirat(&parent, part, Mode::from_raw_mode(0o755))?;
                if kind.is_some() {
                    self.set_opaque(&prefix)?;
                }
            }
            parent = match self.open_directory(&prefix) {
                Err(Failure::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => {
                    return Err(Problem::ParentNotDirectory.into());
                }
                result => result?,
            };
        }
        Ok(parent)
    }

    fn open_directory(&self, name: &Name) -> Result<OwnedFd, Failure> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
        match openat2(&self.fd, name.path(), DIRECTORY, Mode::empty(), resolve) {
            Ok(fd) => Ok(fd),
            Err(Errno::XDEV | Errno::LOOP) => Err(Problem::Escape.into()),
            Err(Errno::NOTDIR) => Err(Problem::ParentNotDirectory.into()),
            Err(error) => Err(error.into()),
        }
    }

    fn finish_directory(&mut self, name: &Name, metadata: &Metadata) -> Result<(), Failure> {
        let fd = self.open_beneath_without_links(name)?;
        fchown(&fd, Some(metadata.uid()), Some(metadata.gid()))?;
        fchmod(&fd, metadata.mode())?;
        let path = name.path();
        let length = path.as_os_str().len() as u64;
        if self.directory_times.insert(path, metadata.mtime).is_none() {
            self.paths += length;
        }
        if self.paths > self.paths_max {
            return Err(Problem::DirectoryPaths(self.paths_max).into());
        }
        Ok(())
    }

    fn set_opaque(&self, name: &Name) -> Result<(), Failure> {
        let fd = self.open_beneath_without_links(name)?;
        Ok(fsetxattr(&fd, "trusted.overlay.opaque", b"y", XattrFlags::empty())?)
    }

    /// As [`open_directory`](Root::open_directory), and the last part is no symbolic link.
    fn open_beneath_without_links(&self, name: &Name) -> Result<OwnedFd, Failure> {
        let Some(file_name) = name.file_name() else { return self.open_directory(name) };
        let parent = self.open_directory(&name.parent())?;
        Ok(rustix::fs::openat(&parent, file_name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?)
    }

    fn kind(&self, parent: impl AsFd, file_name: &OsStr) -> Result<Option<Kind>, Failure> {
        match statat(parent, file_name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => Kind::Directory,
                FileType::CharacterDevice => Kind::Whiteout,
                _ => Kind::Other,
            })),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn unlink(&mut self, parent: impl AsFd, file_name: &OsStr) -> Result<(), Failure> {
        // What is removed may be the symbolic link that led to the remembered directory.
        self.last_parent = None;
        Ok(unlinkat(parent, file_name, AtFlags::empty())?)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Directory,
    Whiteout,
    Other,
}

impl Metadata {
    pub(super) fn read<R: std::io::Read>(entry: &mut tar::Entry<'_, R>) -> Result<Self, Problem> {
        let mut mtime = entry.header().mtime().map(whole_seconds).unwrap_or(EPOCH);
        if let Ok(Some(extensions)) = entry.pax_extensions() {
            for extension in extensions {
                let extension = extension.map_err(|_| Problem::Header)?;
                match extension.key_bytes() {
                    b"mtime" => mtime = parse_time(extension.value_bytes()).ok_or(Problem::Header)?,
                    key if key.starts_with(b"GNU.sparse.") => return Err(Problem::PaxSparse),
                    _ => {}
                }
            }
        }
        let header = entry.header();
        let id = |id: std::io::Result<u64>| match id.map(u32::try_from) {
            Ok(Ok(id)) if id != u32::MAX => Ok(id),
            _ => Err(Problem::Owner),
        };
        let device = match (header.device_major(), header.device_minor()) {
            (Ok(Some(major)), Ok(Some(minor))) => Some((major, minor)),
            _ => None,
        };
        let mode = header.mode().map_err(|_| Problem::Header)? & 0o7777;
        Ok(Self { uid: id(header.uid())?, gid: id(header.gid())?, mode, mtime, device })
    }

    /// The owner first: a change of owner clears the set-user-id bit.
    pub(super) fn apply(&self, file: &File) -> Result<(), Failure> {
        fchown(file, Some(self.uid()), Some(self.gid()))?;
        fchmod(file, self.mode())?;
        Ok(futimens(file, &times(self.mtime))?)
    }

    fn apply_at(&self, parent: impl AsFd, file_name: &OsStr) -> Result<(), Failure> {
        chownat(&parent, file_name, Some(self.uid()), Some(self.gid()), AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(utimensat(&parent, file_name, &times(self.mtime), AtFlags::SYMLINK_NOFOLLOW)?)
    }

    fn uid(&self) -> Uid {
        Uid::from_raw(self.uid)
    }

    fn gid(&self) -> Gid {
        Gid::from_raw(self.gid)
    }

    fn mode(&self) -> Mode {
        Mode::from_raw_mode(self.mode)
    }
}

fn times(mtime: Timespec) -> Timestamps {
    Timestamps { last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT }, last_modification: mtime }
}

fn whole_seconds(seconds: u64) -> Timespec {
    Timespec { tv_sec: i64::try_from(seconds).unwrap_or(0), tv_nsec: 0 }
}

/// `1700000000.123456789`, also negative.
fn parse_time(value: &[u8]) -> Option<Timespec> {
    let text = std::str::from_utf8(value).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().ok()?;
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let nanoseconds: i64 = digits.parse().ok()?;
    match text.starts_with('-') && nanoseconds > 0 {
        true => Some(Timespec { tv_sec: seconds.checked_sub(1)?, tv_nsec: 1_000_000_000 - nanoseconds }),
        false => Some(Timespec { tv_sec: seconds, tv_nsec: nanoseconds }),
    }
}
