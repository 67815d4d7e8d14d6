//! How a layer says that something of a lower layer is gone (the image specification, layer.md, "Whiteouts").

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::Problem;
use super::name::Name;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Whiteout {
    /// This path is gone.
    Of(Name),
    /// Everything below the directory that the marker stands in is gone.
    Opaque,
    /// Book-keeping of aufs, without meaning here.
    Ignored,
}

impl Whiteout {
    pub(crate) fn of(name: &Name) -> Result<Option<Self>, Problem> {
        let Some(file_name) = name.file_name() else { return Ok(None) };
        let is_bookkeeping = |part: &OsStr| part.as_bytes().starts_with(b".wh..wh.");
        let parent_count = name.components().len() - 1;
        for part in &name.components()[..parent_count] {
            if is_bookkeeping(part) {
                return Ok(Some(Self::Ignored));
            }
            if part.as_bytes().starts_with(b".wh.") {
                return Err(Problem::Whiteout);
            }
        }
        match file_name.as_bytes() {
            b".wh..wh..opq" => Ok(Some(Self::Opaque)),
            _ if is_bookkeeping(file_name) => Ok(Some(Self::Ignored)),
            bytes => match bytes.strip_prefix(b".wh.") {
                None => Ok(None),
                Some(b"" | b"." | b"..") => Err(Problem::Whiteout),
                Some(victim) => Ok(Some(Self::Of(name.with_file_name(OsStr::from_bytes(victim))))),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_are_told_apart() {
        let of = |text: &str| Whiteout::of(&Name::parse(text.as_bytes(), 16).unwrap());
        let name = |text: &str| Name::parse(text.as_bytes(), 16).unwrap();
        assert_eq!(of("a/b"), Ok(None));
        assert_eq!(of("./"), Ok(None));
        assert_eq!(of("a/.wh.b"), Ok(Some(Whiteout::Of(name("a/b")))));
        assert_eq!(of("a/.wh..wh..opq"), Ok(Some(Whiteout::Opaque)));
        assert_eq!(of(".wh..wh.plnk/1.2"), Ok(Some(Whiteout::Ignored)));
        assert_eq!(of(".wh..wh.aufs"), Ok(Some(Whiteout::Ignored)));
        assert_eq!(of("a/.wh."), Err(Problem::Whiteout));
        assert_eq!(of(".wh.a/b"), Err(Problem::Whiteout));
    }
}
