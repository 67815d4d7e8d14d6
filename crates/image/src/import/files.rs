//! The files of an archive or a directory, by name. An archive is spooled into numbered files, so no name of it is
//! ever a path of this host.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use model::image::Digest;
use tar::EntryType;

use crate::error::{ImageError, IoContext};
use crate::store::blob::BlobInfo;
use crate::store::{Claim, Store};
use crate::unpack::guard::Guard;
use crate::unpack::name::Name;
use crate::unpack::{Problem, UnpackError, printable};

/// Links between files of an archive; Docker wrote chains of one.
const LINKS_MAX: usize = 4;

pub(super) enum Files {
    Directory(PathBuf),
    Spooled { claim: Claim, files: BTreeMap<PathBuf, Spooled> },
}

pub(super) enum Spooled {
    Number(usize),
    Link(PathBuf),
}

impl Files {
    pub(super) fn in_directory(path: &Path) -> Self {
        Self::Directory(path.to_owned())
    }

    pub(super) fn spool(store: &Store, reader: &mut dyn Read) -> Result<Self, ImageError> {
        let claim = Claim::unique(&store.path("tmp"), "import")?;
        fs::DirBuilder::new().mode(0o700).create(claim.path()).at("create", claim.path())?;
        let refused = |source| ImageError::Layer { layer: "archive".into(), source };
        let io_error = |source| refused(UnpackError::Io { entry: "the archive".into(), source });
        let guard = Guard::new(reader, store.limits(), store.limits().unpacked_max).map_err(io_error)?;
        let mut spool = Spool { store, dir: claim.path(), files: BTreeMap::new() };
        match spool.run(&guard) {
            Ok(()) => {
                let files = spool.files;
                Ok(Self::Spooled { claim, files })
            }
            Err(error) => Err(refused(guard.tripped().map(UnpackError::Archive).unwrap_or(error))),
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.open(name).is_ok()
    }

    /// Opens a regular file. Names come from documents of the archive, so they are as hostile as it is.
    pub(super) fn open(&self, name: &str) -> Result<File, ImageError> {
        let invalid =
            |problem: Problem| ImageError::invalid("archive", format!("its file {name:?} {problem}"));
        let path = Name::parse(name.as_bytes(), 16).map_err(invalid)?.path();
        let missing =
            || ImageError::invalid("archive", format!("its file {} is missing", printable(name.as_bytes())));
        let path = match self {
            Self::Directory(dir) => {
                let path = dir.join(path);
                // A layout is made of files; a link or a pipe in it could lead or block anywhere.
                let metadata = fs::symlink_metadata(&path).map_err(|_| missing())?;
                if !metadata.is_file() {
                    return Err(missing());
                }
                path
            }
            Self::Spooled { claim, files } => {
                let mut path = path;
                let mut links = 0;
                loop {
                    match files.get(&path) {
                        Some(Spooled::Number(number)) => break claim.path().join(number.to_string()),
                        Some(Spooled::Link(target)) if links < LINKS_MAX => path = target.clone(),
                        _ => return Err(missing()),
                    }
                    links += 1;
                }
            }
        };
        File::open(&path).at("open", &path)
    }

    pub(super) fn read(&self, name: &str, max: u64) -> Result<Vec<u8>, ImageError> {
        let mut bytes = Vec::new();
        self.open(name)?.take(max + 1).read_to_end(&mut bytes).at("read", Path::new(name))?;
        if bytes.len() as u64 > max {
            return Err(ImageError::TooLarge { what: name.to_owned(), max });
        }
        Ok(bytes)
    }

    /// Copies a file into the store; one that is there already is not read.
    pub(super) fn add_blob(
        &self,
        store: &Store,
        name: &str,
        expected: Option<&Digest>,
    ) -> Result<BlobInfo, ImageError> {
        let mut file = self.open(name)?;
        if let Some(digest) = expected.filter(|digest| store.has_blob(digest)) {
            let size = fs::metadata(store.blob_path(digest)).at("look at", &store.blob_path(digest))?.len();
            return Ok(BlobInfo { digest: digest.clone(), size });
        }
        store.add_blob(&mut file, expected, store.limits().blob_max, name)
    }
}

struct Spool<'a> {
    store: &'a Store,
    dir: &'a Path,
    files: BTreeMap<PathBuf, Spooled>,
}

impl Spool<'_> {
    fn run(&mut self, guard: &Guard<'_>) -> Result<(), UnpackError> {
        let corrupt = |error: io::Error| UnpackError::Archive(Problem::Corrupt(error.to_string()));
        let limits = self.store.limits();
        let mut archive = tar::Archive::new(guard);
        let mut entries = archive.entries().map_err(corrupt)?;
        let mut count = 0;
        loop {
            guard.begin_headers(limits.header_max);
            let Some(entry) = entries.next() else { break };
            let mut entry = entry.map_err(corrupt)?;
            guard.end_headers();
            count += 1;
            // An image has a handful of files per layer; the bound of a layer's entries is far too many here.
            if count > limits.layers_max as u64 * 64 {
                return Err(UnpackError::Archive(Problem::TooManyEntries(limits.layers_max as u64 * 64)));
            }
            let shown = printable(&entry.path_bytes());
            let refused = |problem| UnpackError::Entry { entry: shown.clone(), problem };
            let name = Name::parse(&entry.path_bytes(), 16).map_err(refused)?;
            let spooled = match entry.header().entry_type() {
                EntryType::Directory | EntryType::XGlobalHeader => None,
                EntryType::Regular | EntryType::Continuous => {
                    let number = count as usize;
                    let expected = entry.size();
                    let written = self
                        .write(number, &mut entry)
                        .map_err(|source| UnpackError::Io { entry: shown.clone(), source })?;
                    if written != expected {
                        return Err(refused(Problem::Truncated));
                    }
                    Some(Spooled::Number(number))
                }
                kind @ (EntryType::Symlink | EntryType::Link) => {
                    let target = entry.link_name_bytes().ok_or_else(|| refused(Problem::Header))?;
                    let base = if kind == EntryType::Symlink { name.parent().path() } else { PathBuf::new() };
                    Some(Spooled::Link(resolve(&base, &target).ok_or_else(|| refused(Problem::Escape))?))
                }
                EntryType::Char | EntryType::Block => return Err(refused(Problem::Device)),
                other => return Err(refused(Problem::UnknownType(char::from(other.as_byte())))),
            };
            if let Some(spooled) = spooled {
                self.files.insert(name.path(), spooled);
            }
            io::copy(&mut entry, &mut io::sink()).map_err(corrupt)?;
        }
        Ok(())
    }

    fn write(&self, number: usize, content: &mut dyn Read) -> io::Result<u64> {
        let path = self.dir.join(number.to_string());
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
        io::copy(content, &mut file)
    }
}

/// The path that a link means, by its text alone; `None` when it leaves the archive.
fn resolve(base: &Path, target: &[u8]) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    use std::path::Component;
    let mut path = if base == Path::new(".") { PathBuf::new() } else { base.to_owned() };
    for component in Path::new(std::ffi::OsStr::from_bytes(target)).components() {
        match component {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            Component::ParentDir if path.pop() => {}
            _ => return None,
        }
    }
    Some(path)
}
