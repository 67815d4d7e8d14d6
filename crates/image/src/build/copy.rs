//! COPY and ADD: from the context, a stage or an image into a new layer.

use std::ffi::OsString;
use std::fs::{DirBuilder, File};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};

use super::glob;
use super::ignore::Ignore;
use super::layer::{Content, LayerBuilder, Owner, is_reserved};
use super::view::{Found, View, parts};
use crate::error::{ImageError, IoContext};
use crate::store::{Claim, Store};
use crate::unpack::{self, Budget};

/// One COPY or ADD, with everything expanded.
pub(super) struct Job<'a> {
    pub store: &'a Store,
    /// Where the sources are.
    pub source: &'a View,
    pub ignore: &'a Ignore,
    /// What the layer will be put on.
    pub below: &'a View,
    pub workdir: &'a str,
    pub sources: &'a [String],
    pub dest: &'a str,
    pub owner: Owner,
    pub mode: Option<u32>,
    pub unpacks: bool,
}

/// Either words for the line it is about, or a failure of this host.
pub(super) enum CopyError {
    Refused(String),
    Failed(Box<ImageError>),
}

impl From<ImageError> for CopyError {
    fn from(error: ImageError) -> Self {
        Self::Failed(Box::new(error))
    }
}

impl Job<'_> {
    pub(super) fn run(&self, layer: &mut LayerBuilder) -> Result<(), CopyError> {
        let mut found = Vec::new();
        for source in self.sources {
            found.extend(self.match_source(source)?);
        }
        let absolute = match self.dest.starts_with('/') {
            true => self.dest.to_owned(),
            false => format!("{}/{}", self.workdir, self.dest),
        };
        let dest =
            parts(&absolute).ok_or_else(|| refused(format!("destination {} leaves the image", self.dest)))?;
        let dest = self
            .below
            .place(&dest)
            .map_err(|error| refused(format!("destination {}: {error}", self.dest)))?;
        let exists = self.find_below(&dest)?;
        let is_directory = match layer.is_directory(&dest) {
            Some(is_directory) => is_directory,
            None => exists.as_ref().is_some_and(|found| found.metadata.is_dir()),
        };
        let says_directory =
            self.dest.ends_with('/') || matches!(self.dest, "." | "..") || self.dest.ends_with("/.");
        if found.len() > 1 && !says_directory && !is_directory {
            return Err(refused(format!(
                "several sources need a directory; end the destination {:?} with /",
                self.dest
            )));
        }
        for source in found {
            let into_directory = says_directory || is_directory;
            self.copy_source(layer, source, &dest, into_directory)?;
        }
        Ok(())
    }

    /// Sources are below their root, and a pattern has to match something.
    fn match_source(&self, source: &str) -> Result<Vec<Found>, CopyError> {
        let path =
            parts(source).ok_or_else(|| refused(format!("source {source} is outside of the context")))?;
        let missing = || refused(format!("source {source} is not there; check the path and .dockerignore"));
        let failed = |error: io::Error| refused(format!("source {source}: {error}"));
        if glob::is_pattern(source) {
            let pattern: Vec<&str> = source.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
            let root = self.source.find(&[]).map_err(failed)?.ok_or_else(missing)?;
            let mut matched = Vec::new();
            self.match_pattern(&root, &pattern, &mut matched).map_err(failed)?;
            return if matched.is_empty() { Err(missing()) } else { Ok(matched) };
        }
        if self.ignore.ignores(&path) && !self.ignore.may_readmit() {
            return Err(missing());
        }
        let found = self.source.find(&path).map_err(failed)?.ok_or_else(missing)?;
        if self.ignore.ignores(&found.path) && !found.metadata.is_dir() {
            return Err(missing());
        }
        Ok(vec![found])
    }

    fn match_pattern(&self, directory: &Found, pattern: &[&str], matched: &mut Vec<Found>) -> io::Result<()> {
        let Some((part, rest)) = pattern.split_first() else { return Ok(()) };
        for (name, found) in self.source.read_dir(directory)? {
            if !glob::matches(&[part], std::slice::from_ref(&name)) || self.ignore.ignores(&found.path) {
                continue;
            }
            // A link that a pattern names stands for what it leads to.
            let found =
                if found.metadata.is_symlink() { self.source.find(&found.path)? } else { Some(found) };
            match found {
                Some(found) if rest.is_empty() => matched.push(found),
                Some(found) if found.metadata.is_dir() => self.match_pattern(&found, rest, matched)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn copy_source(
        &self,
        layer: &mut LayerBuilder,
        source: Found,
        dest: &[OsString],
        into_directory: bool,
    ) -> Result<(), CopyError> {
        if source.metadata.is_dir() {
            self.add_directory(layer, dest, &source)?;
            return self.copy_contents(layer, &source, dest, self.source, false);
        }
        if self.unpacks && self.unpack(layer, &source, dest)? {
            return Ok(());
        }
        let mut target = dest.to_vec();
        if into_directory {
            target.push(source.file_name().to_owned());
        }
        self.add_parents(layer, &target)?;
        self.copy_one(layer, source, target, false)
    }

    fn copy_contents(
        &self,
        layer: &mut LayerBuilder,
        directory: &Found,
        dest: &[OsString],
        view: &View,
        as_is: bool,
    ) -> Result<(), CopyError> {
        let failed = |error: io::Error| refused(format!("source {}: {error}", shown(&directory.path)));
        for (name, found) in view.read_dir(directory).map_err(failed)? {
            let target: Vec<_> = dest.iter().cloned().chain([name]).collect();
            // What was unpacked from an archive is not of the context.
            let is_ignored = !as_is && self.ignore.ignores(&found.path);
            if found.metadata.is_dir() {
                if is_ignored && !self.ignore.may_readmit() {
                    continue;
                }
                if !is_ignored {
                    match as_is {
                        true => layer.add_as_is(self.real(&target)?, &found, Content::Directory),
                        false => self.add_directory(layer, &target, &found)?,
                    }
                }
                self.copy_contents(layer, &found, &target, view, as_is)?;
            } else if !is_ignored {
                self.add_parents(layer, &target)?;
                self.copy_one(layer, found, target, as_is)?;
            }
        }
        Ok(())
    }

    fn copy_one(
        &self,
        layer: &mut LayerBuilder,
        found: Found,
        target: Vec<OsString>,
        as_is: bool,
    ) -> Result<(), CopyError> {
        if found.file_name().is_empty() || target.last().is_some_and(|name| is_reserved(name)) {
            return Err(refused(format!("{} has a name that means removal in a layer", shown(&target))));
        }
        let target = self.real(&target)?;
        if layer.is_directory(&target) == Some(true) {
            return Err(refused(format!("{} is a directory already", shown(&target))));
        }
        let kind = found.metadata.file_type();
        let mode = self.mode.unwrap_or(found.metadata.mode() & 0o7777);
        if kind.is_symlink() {
            let link =
                found.link_target().map_err(|error| refused(format!("{}: {error}", shown(&found.path))))?;
            match as_is {
                true => layer.add_as_is(target, &found, Content::Symlink(link)),
                false => layer.add(target, self.owner, 0o777, Content::Symlink(link)),
            }
        } else if kind.is_file() {
            match as_is {
                true => layer.add_file_as_is(target, found),
                false => layer.add(target, self.owner, mode, Content::File(found)),
            }
        } else if kind.is_socket() {
            // Docker leaves them out as well: a socket without its server is nothing.
        } else {
            return Err(refused(format!("{} is no file, directory or symbolic link", shown(&found.path))));
        }
        Ok(())
    }

    /// A directory that is below already stays as it is.
    fn add_directory(
        &self,
        layer: &mut LayerBuilder,
        path: &[OsString],
        source: &Found,
    ) -> Result<(), CopyError> {
        self.add_parents(layer, path)?;
        let path = self.real(path)?;
        if path.is_empty() || layer.is_directory(&path) == Some(true) {
            return Ok(());
        }
        match self.find_below(&path)? {
            Some(found) if found.metadata.is_dir() => layer.add_as_is(path, &found, Content::Directory),
            Some(_) => {
                return Err(refused(format!("{} is a file, and a directory is copied to it", shown(&path))));
            }
            None => {
                let mode = self.mode.unwrap_or(source.metadata.mode() & 0o7777);
                layer.add(path, self.owner, mode, Content::Directory);
            }
        }
        Ok(())
    }

    fn add_parents(&self, layer: &mut LayerBuilder, path: &[OsString]) -> Result<(), CopyError> {
        let path = self.real(path)?;
        for count in 1..path.len() {
            let is_file = match layer.is_directory(&path[..count]) {
                Some(is_directory) => !is_directory,
                None => self.find_below(&path[..count])?.is_some_and(|found| !found.metadata.is_dir()),
            };
            if is_file {
                return Err(refused(format!(
                    "{} is a file, and something is copied below it",
                    shown(&path[..count])
                )));
            }
        }
        let failed = |error: io::Error| refused(format!("{}: {error}", shown(&path)));
        layer.add_parents(self.below, &path, Owner::default()).map_err(failed)
    }

    /// The path with the symbolic links of its directories followed, so that no layer hides one of them.
    fn real(&self, path: &[OsString]) -> Result<Vec<OsString>, CopyError> {
        let Some((name, parent)) = path.split_last() else { return Ok(Vec::new()) };
        let failed = |error: io::Error| refused(format!("{}: {error}", shown(path)));
        let mut real = self.below.place(parent).map_err(failed)?;
        real.push(name.clone());
        Ok(real)
    }

    fn find_below(&self, path: &[OsString]) -> Result<Option<Found>, CopyError> {
        self.below.find(path).map_err(|error| refused(format!("{}: {error}", shown(path))))
    }

    /// ADD takes a local archive apart. False: it is none.
    fn unpack(&self, layer: &mut LayerBuilder, source: &Found, dest: &[OsString]) -> Result<bool, CopyError> {
        let failed = |error: io::Error| refused(format!("source {}: {error}", shown(&source.path)));
        if !source.metadata.is_file() || !is_archive(source.open().map_err(failed)?).map_err(failed)? {
            return Ok(false);
        }
        let claim = Claim::unique(&self.store.path("tmp"), "add")?;
        let root = claim.path();
        DirBuilder::new().mode(0o755).create(root).at("create", root)?;
        let limits = self.store.limits();
        unpack::unpack(source.open().map_err(failed)?, root, limits, &mut Budget::new(limits))
            .map_err(|error| ImageError::Layer { layer: shown(&source.path), source: error })?;
        let view = View::new(&[root.to_owned()]);
        let top = view.find(&[]).map_err(failed)?.ok_or_else(|| refused("archive is empty".into()))?;
        self.add_directory(layer, dest, &top)?;
        self.copy_contents(layer, &top, dest, &view, true)?;
        // The files are read when the layer is written.
        layer.keep(claim);
        Ok(true)
    }
}

/// A tar archive, under gzip or zstd or as it is, by its first header.
fn is_archive(file: File) -> io::Result<bool> {
    let (_, stream) = unpack::decompress(file)?;
    let mut header = tar::Header::new_old();
    let mut bytes = Vec::new();
    // What does not decompress is a file like any other.
    if stream.take(512).read_to_end(&mut bytes).is_err() || bytes.len() < 512 {
        return Ok(false);
    }
    header.as_mut_bytes().copy_from_slice(&bytes);
    let sum: u32 =
        bytes.iter().enumerate().map(|(i, b)| if (148..156).contains(&i) { 32 } else { u32::from(*b) }).sum();
    Ok(header.cksum().is_ok_and(|expected| expected == sum))
}

fn refused(message: String) -> CopyError {
    CopyError::Refused(message)
}

fn shown(path: &[OsString]) -> String {
    let path: std::path::PathBuf = path.iter().collect();
    if path.as_os_str().is_empty() { "/".into() } else { path.display().to_string() }
}
