//! Paths of archives: relative, clean and of bounded length, or refused.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::Problem;

const COMPONENT_MAX: usize = 255;
const PATH_MAX: usize = 4095;

/// A path below the root of a layer, without `.`, `..`, empty parts and zero bytes. Empty: the root itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    components: Vec<OsString>,
}

impl Name {
    pub(crate) fn parse(bytes: &[u8], depth_max: usize) -> Result<Self, Problem> {
        if bytes.is_empty() {
            return Err(Problem::EmptyPath);
        }
        if bytes.len() > PATH_MAX {
            return Err(Problem::PathTooLong);
        }
        if bytes.contains(&0) {
            return Err(Problem::ZeroByte);
        }
        // Some builders write an entry for the root itself.
        if bytes[0] == b'/' && bytes.iter().any(|b| *b != b'/') {
            return Err(Problem::AbsolutePath);
        }
        let mut components = Vec::new();
        for part in bytes.split(|b| *b == b'/') {
            match part {
                b"" | b"." => {}
                b".." => return Err(Problem::ParentPath),
                part if part.len() > COMPONENT_MAX => return Err(Problem::NameTooLong),
                part => components.push(OsStr::from_bytes(part).to_owned()),
            }
        }
        if components.len() > depth_max {
            return Err(Problem::TooDeep(depth_max));
        }
        Ok(Self { components })
    }

    pub(crate) fn is_root(&self) -> bool {
        self.components.is_empty()
    }

    pub(crate) fn components(&self) -> &[OsString] {
        &self.components
    }

    /// The last part, unless this is the root.
    pub(crate) fn file_name(&self) -> Option<&OsStr> {
        self.components.last().map(OsString::as_os_str)
    }

    /// All but the last part; the root's parent is the root.
    pub(crate) fn parent(&self) -> Self {
        let end = self.components.len().saturating_sub(1);
        Self { components: self.components[..end].to_vec() }
    }

    /// The first `count` parts.
    pub(crate) fn prefix(&self, count: usize) -> Self {
        Self { components: self.components[..count].to_vec() }
    }

    pub(crate) fn with_file_name(&self, file_name: &OsStr) -> Self {
        let mut name = self.parent();
        name.components.push(file_name.to_owned());
        name
    }

    /// Relative to the root; `.` for the root.
    pub(crate) fn path(&self) -> PathBuf {
        if self.is_root() {
            return PathBuf::from(".");
        }
        self.components.iter().map(Path::new).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_or_refused() {
        let parse = |text: &str| Name::parse(text.as_bytes(), 4).map(|name| name.path());
        for (text, path) in [
            ("a", "a"),
            ("./a//b/", "a/b"),
            ("./", "."),
            ("/", "."),
            ("a/./b", "a/b"),
            ("..a/b..", "..a/b.."),
        ] {
            assert_eq!(parse(text), Ok(PathBuf::from(path)), "{text}");
        }
        assert_eq!(parse(""), Err(Problem::EmptyPath));
        assert_eq!(parse("/etc"), Err(Problem::AbsolutePath));
        assert_eq!(parse("a/../b"), Err(Problem::ParentPath));
        assert_eq!(parse(".."), Err(Problem::ParentPath));
        assert_eq!(parse("a\0b"), Err(Problem::ZeroByte));
        assert_eq!(parse("a/b/c/d/e"), Err(Problem::TooDeep(4)));
        assert_eq!(parse(&"n".repeat(256)), Err(Problem::NameTooLong));
        assert_eq!(parse(&"n/".repeat(3000)), Err(Problem::PathTooLong));
    }
}
