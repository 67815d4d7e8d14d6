//! The file system that a stack of unpacked layers shows, read without mounting it. One directory is a stack as well,
//! so the build context is read by the same rules: a symbolic link means what it means below the root, and no more.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

/// As the kernel has it.
const LINKS_MAX: usize = 40;

pub(super) struct View {
    /// Highest first.
    layers: Vec<PathBuf>,
}

/// What a path leads to.
#[derive(Debug)]
pub(super) struct Found {
    /// Where it is below the root, every symbolic link followed.
    pub path: Vec<OsString>,
    /// The directories that are merged here, highest first; or the one file.
    places: Vec<PathBuf>,
    pub metadata: Metadata,
}

impl View {
    /// `layers` come lowest first, as an image has them.
    pub(super) fn new(layers: &[PathBuf]) -> Self {
        Self { layers: layers.iter().rev().cloned().collect() }
    }

    /// Follows every symbolic link.
    pub(super) fn find(&self, path: &[OsString]) -> io::Result<Option<Found>> {
        match self.walk(path)? {
            (found, rest) if rest.is_empty() => Ok(Some(found)),
            _ => Ok(None),
        }
    }

    /// Where a path would be made: links of the existing part followed, the missing part as it is.
    pub(super) fn place(&self, path: &[OsString]) -> io::Result<Vec<OsString>> {
        let (found, rest) = self.walk(path)?;
        Ok(found.path.into_iter().chain(rest).collect())
    }

    /// Entries of a directory by name, without following links.
    pub(super) fn read_dir(&self, directory: &Found) -> io::Result<BTreeMap<OsString, Found>> {
        let mut names = BTreeMap::new();
        for place in &directory.places {
            for entry in fs::read_dir(place)? {
                if let Entry::Vacant(vacant) = names.entry(entry?.file_name()) {
                    let found = self.step(directory, vacant.key())?;
                    vacant.insert(found);
                }
            }
        }
        Ok(names.into_iter().filter_map(|(name, found)| Some((name, found?))).collect())
    }

    /// Goes as far as the path exists; also gives what is left of it.
    fn walk(&self, path: &[OsString]) -> io::Result<(Found, Vec<OsString>)> {
        let root = self.root()?;
        let mut current = vec![root];
        let mut todo: Vec<OsString> = path.iter().rev().cloned().collect();
        let mut links = 0;
        while let Some(part) = todo.pop() {
            let here = &current[current.len() - 1];
            match part.as_bytes() {
                b"" | b"." | b"/" => continue,
                b".." => {
                    if current.len() > 1 {
                        current.pop();
                    }
                    continue;
                }
                _ => {}
            }
            let Some(next) = self.step(here, &part)? else {
                let rest: Vec<_> = std::iter::once(part).chain(todo.into_iter().rev()).collect();
                let found = current.pop().ok_or(io::ErrorKind::NotFound)?;
                return Ok((found, rest));
            };
            if !next.metadata.is_symlink() {
                current.push(next);
                continue;
            }
            links += 1;
            if links > LINKS_MAX {
                return Err(io::Error::other("too many symbolic links"));
            }
            let target = fs::read_link(&next.places[0])?;
            if target.is_absolute() {
                current.truncate(1);
            }
            todo.extend(
                target
                    .as_os_str()
                    .as_bytes()
                    .split(|b| *b == b'/')
                    .rev()
                    .map(|p| OsStr::from_bytes(p).to_owned()),
            );
        }
        let found = current.pop().ok_or(io::ErrorKind::NotFound)?;
        Ok((found, Vec::new()))
    }

    fn root(&self) -> io::Result<Found> {
        let mut found = None;
        for place in &self.layers {
            let metadata = fs::metadata(place)?;
            found.get_or_insert(Found { path: Vec::new(), places: self.layers.clone(), metadata });
        }
        found.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// One name in a merged directory.
    fn step(&self, directory: &Found, name: &OsStr) -> io::Result<Option<Found>> {
        if !directory.metadata.is_dir() {
            return Ok(None);
        }
        let mut found: Option<Found> = None;
        for place in &directory.places {
            let path = place.join(name);
            let metadata = match fs::symlink_metadata(&path) {
                Ok(metadata) => metadata,
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
                {
                    continue;
                }
                Err(error) => return Err(error),
            };
            if metadata.file_type().is_char_device() && metadata.rdev() == 0 {
                break;
            }
            let is_dir = metadata.is_dir();
            let is_opaque = is_dir && is_opaque(&path);
            match &mut found {
                Some(found) if is_dir => found.places.push(path),
                Some(_) => break,
                None => {
                    let below = directory.path.iter().cloned().chain([name.to_owned()]).collect();
                    found = Some(Found { path: below, places: vec![path], metadata });
                }
            }
            if !is_dir || is_opaque {
                break;
            }
        }
        Ok(found)
    }
}

impl Found {
    pub(super) fn open(&self) -> io::Result<File> {
        // Not following, not blocking: what it is was looked at a moment ago.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = File::options().read(true).custom_flags(flags.bits() as i32).open(&self.places[0])?;
        match file.metadata()?.is_file() {
            true => Ok(file),
            false => Err(io::Error::other("is not a file any more")),
        }
    }

    pub(super) fn link_target(&self) -> io::Result<PathBuf> {
        fs::read_link(&self.places[0])
    }

    pub(super) fn file_name(&self) -> &OsStr {
        self.path.last().map_or(OsStr::new(""), OsString::as_os_str)
    }
}

/// The parts of a text path; `None` when it has a `..` that leaves its beginning.
pub(super) fn parts(path: &str) -> Option<Vec<OsString>> {
    let mut parts: Vec<OsString> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part.into()),
        }
    }
    Some(parts)
}

fn is_opaque(path: &Path) -> bool {
    let mut value = [0; 1];
    rustix::fs::getxattr(path, "trusted.overlay.opaque", &mut value).is_ok_and(|_| value == *b"y")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_stay_below_the_root() {
        let dir = tempfile::tempdir().unwrap();
        let (low, high) = (dir.path().join("low"), dir.path().join("high"));
        fs::create_dir_all(low.join("usr/bin")).unwrap();
        fs::write(low.join("usr/bin/a"), "low").unwrap();
        fs::write(dir.path().join("outside"), "secret").unwrap();
        std::os::unix::fs::symlink("usr/bin", low.join("bin")).unwrap();
        fs::create_dir_all(high.join("usr/bin")).unwrap();
        fs::write(high.join("usr/bin/b"), "high").unwrap();
        std::os::unix::fs::symlink("../../../outside", high.join("up")).unwrap();
        std::os::unix::fs::symlink("/usr/../usr/bin/a", high.join("absolute")).unwrap();
        std::os::unix::fs::symlink("loop", high.join("loop")).unwrap();
        let view = View::new(&[low, high]);
        let find = |path: &str| view.find(&parts(path).unwrap());
        let shown = |path: &str| find(path).unwrap().map(|found| found.path.iter().collect::<PathBuf>());
        assert_eq!(shown("/bin/a"), Some("usr/bin/a".into()));
        assert_eq!(shown("absolute"), Some("usr/bin/a".into()));
        assert_eq!(shown("up"), None);
        assert_eq!(shown("bin/nothing"), None);
        assert!(find("loop").is_err());
        let bin = find("bin").unwrap().unwrap();
        assert_eq!(view.read_dir(&bin).unwrap().into_keys().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(view.place(&parts("bin/new/x").unwrap()).unwrap(), ["usr", "bin", "new", "x"]);
        assert_eq!(parts("a/../../b"), None);
    }
}
