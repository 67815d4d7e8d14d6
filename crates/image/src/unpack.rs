//! A layer archive becomes a directory that overlayfs can take as a lower one.
//!
//! The archive is hostile: every path is resolved by the kernel below the directory, never above it, and whatever a
//! layer of a container has no business with is refused. Owners, modes (set-user-id bits too: `no_new_privs` makes
//! them harmless) and modification times are kept; extended attributes are not, so no file capability ever arrives.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use model::image::Digest;
use tar::{Entry, EntryType};

use crate::limits::Limits;

mod budget;
mod decompress;
pub(crate) mod guard;
pub(crate) mod name;
mod root;
mod whiteout;

pub(crate) use budget::Budget;
pub(crate) use decompress::{Compression, decompress};
use guard::Guard;
use name::Name;
use root::{Metadata, Root};
use whiteout::Whiteout;

/// What an archive held.
#[derive(Debug)]
pub(crate) struct Report {
    /// Of the archive without its compression.
    pub diff_id: Digest,
    /// File contents, and a block for everything with a name.
    pub bytes: u64,
    /// Entries, and directories that no entry was for.
    pub entries: u64,
}

/// Why an archive was refused.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    #[error("entry {entry} {problem}")]
    Entry { entry: String, problem: Problem },
    #[error("the archive {0}")]
    Archive(Problem),
    #[error("failed to unpack {entry}")]
    Io {
        entry: String,
        #[source]
        source: io::Error,
    },
}

/// What is wrong with an entry or an archive; completes the sentence "the entry ...".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("has a path with `..`")]
    ParentPath,
    #[error("has an absolute path")]
    AbsolutePath,
    #[error("has an empty path")]
    EmptyPath,
    #[error("has a zero byte in its path")]
    ZeroByte,
    #[error("has a name longer than 255 bytes")]
    NameTooLong,
    #[error("has a path longer than 4095 bytes")]
    PathTooLong,
    #[error("is more than {0} directories deep")]
    TooDeep(usize),
    #[error("leads out of the layer through a symbolic link")]
    Escape,
    #[error("has a parent that is no directory")]
    ParentNotDirectory,
    #[error("is a hard link to something that is not in the layer")]
    HardLinkTarget,
    #[error("is a device node; a container gets its devices from the platform")]
    Device,
    #[error("is of the unknown type {0:?}")]
    UnknownType(char),
    #[error("is a sparse file in the pax format, which is not supported")]
    PaxSparse,
    #[error("replaces a directory of the same layer")]
    ReplacesDirectory,
    #[error("is a whiteout of no valid name")]
    Whiteout,
    #[error("has an owner that is no valid id")]
    Owner,
    #[error("has a malformed header")]
    Header,
    #[error("ends in the middle of its content")]
    Truncated,
    #[error("has more than {0} bytes of headers before an entry")]
    HeaderTooLarge(u64),
    #[error("has more than {0} entries")]
    TooManyEntries(u64),
    #[error("brings the image to more than {0} entries, with the directories that they stand in")]
    TooManyNames(u64),
    #[error("has paths of directories that are longer than {0} bytes together")]
    DirectoryPaths(u64),
    #[error("unpacks to more than {0} bytes")]
    TooLarge(u64),
    #[error("unpacks to more than {0} times its size, like a decompression bomb")]
    Ratio(u64),
    #[error("is compressed in a way that is not supported; use gzip, zstd or none")]
    Compression,
    #[error("is corrupt: {0}")]
    Corrupt(String),
}

/// Unpacks the archive into the empty directory `into`, with what is left of the image's budget. The caller removes
/// the directory when this fails.
pub(crate) fn unpack(
    archive: File,
    into: &Path,
    limits: &Limits,
    budget: &mut Budget,
) -> Result<Report, UnpackError> {
    let io_error = |source| UnpackError::Io { entry: "the archive".into(), source };
    let guard = Guard::new(archive, limits, budget.bytes_left()).map_err(io_error)?;
    let (bytes, entries) = (budget.bytes(), budget.entries());
    let root = Root::open(into, limits.directory_paths_max, budget).map_err(io_error)?;
    let mut unpacking = Unpacking { root, limits };
    unpacking.run(&guard).map_err(|error| guard.tripped().map(UnpackError::Archive).unwrap_or(error))?;
    Ok(Report { diff_id: guard.digest(), bytes: budget.bytes() - bytes, entries: budget.entries() - entries })
}

struct Unpacking<'a> {
    root: Root<'a>,
    limits: &'a Limits,
}

impl Unpacking<'_> {
    fn run(&mut self, guard: &Guard<'_>) -> Result<(), UnpackError> {
        let mut archive = tar::Archive::new(guard);
        let mut entries = archive.entries().map_err(corrupt)?;
        loop {
            guard.begin_headers(self.limits.header_max);
            let Some(entry) = entries.next() else { break };
            let mut entry = entry.map_err(corrupt)?;
            guard.end_headers();
            self.root.budget.name().map_err(UnpackError::Archive)?;
            self.entry(&mut entry).map_err(|failure| failure.of(&entry))?;
            // Whatever the entry did not use: `next` shall read headers alone.
            io::copy(&mut entry, &mut io::sink()).map_err(corrupt)?;
        }
        guard.end_headers();
        // Padding after the end belongs to the digest.
        io::copy(&mut &*guard, &mut io::sink()).map_err(corrupt)?;
        self.root.finish().map_err(|failure| failure.at("a directory".into()))
    }

    fn entry<R: Read>(&mut self, entry: &mut Entry<'_, R>) -> Result<(), Failure> {
        let kind = entry.header().entry_type();
        if kind == EntryType::XGlobalHeader {
            return Ok(());
        }
        let name = Name::parse(&entry.path_bytes(), self.limits.depth_max)?;
        let metadata = Metadata::read(entry)?;
        match Whiteout::of(&name)? {
            Some(Whiteout::Ignored) => return Ok(()),
            Some(Whiteout::Opaque) => return self.root.make_opaque(name.parent()),
            Some(Whiteout::Of(victim)) => return self.root.whiteout(&victim),
            None => {}
        }
        match kind {
            EntryType::Directory => self.root.directory(&name, &metadata),
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                self.file(&name, &metadata, entry)
            }
            EntryType::Symlink => {
                let target = entry.link_name_bytes().ok_or(Problem::Header)?;
                self.root.symlink(&name, &target, &metadata)
            }
            EntryType::Link => {
                let target = entry.link_name_bytes().ok_or(Problem::Header)?;
                self.root.hard_link(&name, &Name::parse(&target, self.limits.depth_max)?)
            }
            EntryType::Fifo => self.root.fifo(&name, &metadata),
            EntryType::Char if metadata.device == Some((0, 0)) => self.root.whiteout(&name),
            EntryType::Char | EntryType::Block => Err(Problem::Device.into()),
            other => Err(Problem::UnknownType(char::from(other.as_byte())).into()),
        }
    }

    fn file<R: Read>(
        &mut self,
        name: &Name,
        metadata: &Metadata,
        entry: &mut Entry<'_, R>,
    ) -> Result<(), Failure> {
        let expected = entry.size();
        let sparse = entry.header().entry_type() == EntryType::GNUSparse;
        let mut file = self.root.create(name)?;
        let mut buffer = [0; 64 * 1024];
        let mut written = 0;
        loop {
            let count = match entry.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Problem::Corrupt(error.to_string()).into()),
            };
            written += count as u64;
            self.root.budget.content(count as u64)?;
            // A hole is no bytes of the archive, so it shall be none of the disk.
            if sparse && buffer[..count].iter().all(|byte| *byte == 0) {
                file.seek(SeekFrom::Current(count as i64))?;
            } else {
                file.write_all(&buffer[..count])?;
            }
        }
        if written != expected {
            return Err(Problem::Truncated.into());
        }
        if sparse {
            file.set_len(written)?;
        }
        metadata.apply(&file)
    }
}

/// A failure that does not know its entry yet.
#[derive(Debug)]
enum Failure {
    Problem(Problem),
    Io(io::Error),
}

impl Failure {
    fn of<R: Read>(self, entry: &Entry<'_, R>) -> UnpackError {
        self.at(printable(&entry.path_bytes()))
    }

    fn at(self, entry: String) -> UnpackError {
        match self {
            Self::Problem(
                problem @ (Problem::TooManyNames(_) | Problem::TooLarge(_) | Problem::DirectoryPaths(_)),
            ) => UnpackError::Archive(problem),
            Self::Problem(problem) => UnpackError::Entry { entry, problem },
            Self::Io(source) => UnpackError::Io { entry, source },
        }
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<rustix::io::Errno> for Failure {
    fn from(error: rustix::io::Errno) -> Self {
        Self::Io(error.into())
    }
}

fn corrupt(error: impl fmt::Display) -> UnpackError {
    UnpackError::Archive(Problem::Corrupt(error.to_string()))
}

/// A name from the archive, fit for a terminal.
pub(crate) fn printable(name: &[u8]) -> String {
    const SHOWN_MAX: usize = 200;
    let shown = format!("{:?}", String::from_utf8_lossy(&name[..name.len().min(SHOWN_MAX)]));
    if name.len() > SHOWN_MAX { format!("{shown}...") } else { shown }
}
