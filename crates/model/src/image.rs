//! Image references (`docker.io/library/alpine:3.20`) and digests, as the distribution specification words them.
//! Text becomes a reference here once; below nothing needs to ask again what the parts mean.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The registry that a reference without one means.
pub const DEFAULT_REGISTRY: &str = "docker.io";
/// The tag that a reference without tag and digest means.
pub const DEFAULT_TAG: &str = "latest";

/// Bytes of `registry/repository` together (the reference grammar of the distribution project).
const NAME_MAX: usize = 255;
const TAG_MAX: usize = 128;
/// A name, a tag and a digest with their separators; anything longer is not even looked at.
const REFERENCE_MAX: usize = NAME_MAX + 1 + TAG_MAX + 1 + DIGEST_LEN;
const DIGEST_LEN: usize = "sha256:".len() + 64;

/// Where an image is to be found: `registry/repository[:tag][@digest]`, with the defaults of Docker filled in.
/// At least one of tag and digest is always there.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageRef {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// A SHA-256 content digest, `sha256:` and 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest {
    hex: String,
}

/// Why a text is no image reference. `text` is what was given, shortened when it is very long.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageRefError {
    #[error("image reference is empty; give one like alpine:3.20 or ghcr.io/owner/name:tag")]
    Empty,
    #[error("image reference is {length} bytes long, the most is {max}")]
    TooLong { length: usize, max: usize },
    #[error("image {text:?} has an invalid registry; expected host[:port] like ghcr.io or 127.0.0.1:5000")]
    Registry { text: String },
    #[error(
        "image {text:?} has an invalid name; each part is lower-case letters and digits, separated by '.', '_', '__' or '-'"
    )]
    Repository { text: String },
    #[error("image {text:?} has an upper-case letter in its name; image names are lower case")]
    UpperCase { text: String },
    #[error("image name {text:?} is {length} bytes long, the most is {max}")]
    NameTooLong { text: String, length: usize, max: usize },
    #[error(
        "image {text:?} has an invalid tag; a tag is 1 to 128 letters, digits, '_', '.' or '-', and begins with none of '.' and '-'"
    )]
    Tag { text: String },
    #[error("image {text:?} has an invalid digest; expected sha256: and 64 lower-case hexadecimal digits")]
    Digest { text: String },
    #[error("image {text:?} looks like an image id; give a name, or name@sha256:...")]
    LooksLikeId { text: String },
}

impl ImageRef {
    /// Reads a reference as Docker does: no registry means `docker.io`, one part on `docker.io` means
    /// `library/<part>`, neither tag nor digest means `latest`.
    pub fn parse(text: &str) -> Result<Self, ImageRefError> {
        if text.is_empty() {
            return Err(ImageRefError::Empty);
        }
        if text.len() > REFERENCE_MAX {
            return Err(ImageRefError::TooLong { length: text.len(), max: REFERENCE_MAX });
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => {
                let digest =
                    Digest::parse(digest).map_err(|_| ImageRefError::Digest { text: text.to_owned() })?;
                (rest, Some(digest))
            }
            None => (text, None),
        };
        let (name, tag) = split_tag(rest);
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(ImageRefError::Tag { text: text.to_owned() });
        }
        let (registry, repository) = split_registry(name);
        let registry = registry.map(str::to_ascii_lowercase);
        let registry = match registry.as_deref() {
            None | Some("docker.io" | "index.docker.io" | "registry-1.docker.io") => DEFAULT_REGISTRY,
            // What only its upper case tells from a name would be read as one the next time.
            Some(registry) if is_registry(registry) && is_told_apart(registry) => registry,
            Some(registry) if is_registry(registry) => {
                return Err(ImageRefError::UpperCase { text: text.to_owned() });
            }
            Some(_) => return Err(ImageRefError::Registry { text: text.to_owned() }),
        };
        if repository.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(ImageRefError::UpperCase { text: text.to_owned() });
        }
        if !repository.split('/').all(is_path_component) {
            return Err(ImageRefError::Repository { text: text.to_owned() });
        }
        if looks_like_id(repository) {
            return Err(ImageRefError::LooksLikeId { text: text.to_owned() });
        }
        let repository = match registry == DEFAULT_REGISTRY && !repository.contains('/') {
            true => format!("library/{repository}"),
            false => repository.to_owned(),
        };
        let length = registry.len() + 1 + repository.len();
        if length > NAME_MAX {
            return Err(ImageRefError::NameTooLong { text: text.to_owned(), length, max: NAME_MAX });
        }
        let tag = match (tag, &digest) {
            (None, None) => Some(DEFAULT_TAG.to_owned()),
            (tag, _) => tag.map(str::to_owned),
        };
        Ok(Self { registry: registry.to_owned(), repository, tag, digest })
    }

    /// Host and, when given, port: `docker.io`, `127.0.0.1:5000`.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The name inside its registry: `library/alpine`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag; `None` only when there is a digest.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The same image pinned to `digest`, without its tag.
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self { tag: None, digest: Some(digest), ..self.clone() }
    }

    /// As people write it: without `docker.io/` and `library/`. The tag stays, also when it is `latest`.
    pub fn familiar(&self) -> String {
        let name = match self.registry.as_str() {
            DEFAULT_REGISTRY => {
                let short = self.repository.strip_prefix("library/");
                short.filter(|name| !name.contains('/') && !looks_like_id(name))
            }
            _ => None,
        };
        match name {
            Some(name) => format!("{name}{}", self.suffix()),
            // A first part that looks like a registry would be taken for one.
            None if self.registry == DEFAULT_REGISTRY && split_registry(&self.repository).0.is_none() => {
                format!("{}{}", self.repository, self.suffix())
            }
            None => self.to_string(),
        }
    }

    fn suffix(&self) -> String {
        let tag = self.tag.as_ref().map(|tag| format!(":{tag}")).unwrap_or_default();
        let digest = self.digest.as_ref().map(|digest| format!("@{digest}")).unwrap_or_default();
        tag + &digest
    }
}

impl Digest {
    /// Takes `sha256:<64 lower-case hex digits>`; other algorithms are refused.
    pub fn parse(text: &str) -> Result<Self, ImageRefError> {
        match text.strip_prefix("sha256:") {
            Some(hex) if hex.len() == 64 && is_lower_hex(hex) => Ok(Self { hex: hex.to_owned() }),
            _ => Err(ImageRefError::Digest { text: text.chars().take(DIGEST_LEN + 1).collect() }),
        }
    }

    /// From the 32 bytes of a finished SHA-256.
    pub fn from_sha256(bytes: [u8; 32]) -> Self {
        use fmt::Write as _;
        let mut hex = String::with_capacity(64);
        for byte in bytes {
            let _ = write!(hex, "{byte:02x}");
        }
        Self { hex }
    }

    /// The 64 hexadecimal digits.
    pub fn hex(&self) -> &str {
        &self.hex
    }
}

impl fmt::Display for ImageRef {
    /// The canonical form, with registry: `docker.io/library/alpine:3.20`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}{}", self.registry, self.repository, self.suffix())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex)
    }
}

impl FromStr for ImageRef {
    type Err = ImageRefError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl FromStr for Digest {
    type Err = ImageRefError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl TryFrom<String> for ImageRef {
    type Error = ImageRefError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl TryFrom<String> for Digest {
    type Error = ImageRefError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<ImageRef> for String {
    fn from(reference: ImageRef) -> Self {
        reference.to_string()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

/// A colon after the last slash begins a tag; one before it belongs to a port.
fn split_tag(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (text, None),
    }
}

/// The first part is a registry when no image name could look like it.
fn split_registry(name: &str) -> (Option<&str>, &str) {
    match name.split_once('/') {
        Some((first, rest)) if is_told_apart(first) || first.bytes().any(|b| b.is_ascii_uppercase()) => {
            (Some(first), rest)
        }
        _ => (None, name),
    }
}

fn looks_like_id(name: &str) -> bool {
    name.len() == 64 && is_lower_hex(name)
}

fn is_told_apart(first: &str) -> bool {
    first == "localhost" || first.contains(['.', ':', '[']) && !first.starts_with('.')
}

fn is_registry(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, rest)) => {
            if address.parse::<std::net::Ipv6Addr>().is_err() {
                return false;
            }
            match rest {
                "" => return true,
                rest => ("", rest.strip_prefix(':').or(Some(""))),
            }
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let host_is_valid = text.starts_with('[') || host.split('.').all(is_domain_component);
    let port_is_valid = port.is_none_or(|port| {
        port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0)
    });
    host_is_valid && port_is_valid
}

fn is_domain_component(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 63
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_path_component(text: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    let ends_are_words =
        bytes.first().copied().is_some_and(is_word) && bytes.last().copied().is_some_and(is_word);
    ends_are_words
        && text.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit()).all(|separator| {
            matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|b| b == b'-')
        })
}

fn is_tag(text: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    text.len() <= TAG_MAX
        && text.bytes().next().is_some_and(is_word)
        && text.bytes().all(|b| is_word(b) || b == b'.' || b == b'-')
}

fn is_lower_hex(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn check(text: &str, canonical: &str, familiar: &str) {
        let reference = ImageRef::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(reference.to_string(), canonical, "{text}");
        assert_eq!(reference.familiar(), familiar, "{text}");
        assert_eq!(ImageRef::parse(canonical).as_ref(), Ok(&reference), "canonical of {text}");
        assert_eq!(ImageRef::parse(familiar).as_ref(), Ok(&reference), "familiar of {text}");
    }

    #[test]
    fn references_are_normalised() {
        check("alpine", "docker.io/library/alpine:latest", "alpine:latest");
        check("alpine:3.20", "docker.io/library/alpine:3.20", "alpine:3.20");
        check("docker.io/alpine", "docker.io/library/alpine:latest", "alpine:latest");
        check("index.docker.io/library/alpine", "docker.io/library/alpine:latest", "alpine:latest");
        check("functions/nodeinfo:1", "docker.io/functions/nodeinfo:1", "functions/nodeinfo:1");
        check("a/b/c", "docker.io/a/b/c:latest", "a/b/c:latest");
        check("library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest");
        check(
            "ghcr.io/openfaas/alpine:latest",
            "ghcr.io/openfaas/alpine:latest",
            "ghcr.io/openfaas/alpine:latest",
        );
        check("GHCR.io/x/y", "ghcr.io/x/y:latest", "ghcr.io/x/y:latest");
        check("DOCKER.io/x", "docker.io/library/x:latest", "x:latest");
        check("docker.io/a.b/c", "docker.io/a.b/c:latest", "docker.io/a.b/c:latest");
        check("docker.io/localhost/c", "docker.io/localhost/c:latest", "docker.io/localhost/c:latest");
        check("localhost/x", "localhost/x:latest", "localhost/x:latest");
        check("localhost:5000/x:V1.0_a-b", "localhost:5000/x:V1.0_a-b", "localhost:5000/x:V1.0_a-b");
        check("127.0.0.1:5000/a/b", "127.0.0.1:5000/a/b:latest", "127.0.0.1:5000/a/b:latest");
        check("[::1]:5000/a", "[::1]:5000/a:latest", "[::1]:5000/a:latest");
        check("a--b/c__d/e.f_g", "docker.io/a--b/c__d/e.f_g:latest", "a--b/c__d/e.f_g:latest");
        let digest = format!("sha256:{HEX}");
        check(&format!("a@{digest}"), &format!("docker.io/library/a@{digest}"), &format!("a@{digest}"));
        check(&format!("r.io/a:t@{digest}"), &format!("r.io/a:t@{digest}"), &format!("r.io/a:t@{digest}"));
    }

    #[test]
    fn bad_references_are_refused() {
        let refused = |text: &str| ImageRef::parse(text).expect_err(text);
        assert_eq!(refused(""), ImageRefError::Empty);
        assert!(matches!(refused(&"a".repeat(1000)), ImageRefError::TooLong { .. }));
        assert!(matches!(refused(&format!("a/{}", "b".repeat(254))), ImageRefError::NameTooLong { .. }));
        assert!(matches!(refused(HEX), ImageRefError::LooksLikeId { .. }));
        assert!(matches!(refused("Alpine"), ImageRefError::UpperCase { .. }));
        assert!(matches!(refused("Registry/a"), ImageRefError::UpperCase { .. }));
        assert!(matches!(refused("r.io/Alpine"), ImageRefError::UpperCase { .. }));
        for text in [
            "r.io/", "a//b", "/a", "a/", ".a", "a.", "a..b", "a___b", "-a", "a b", "../a", "a/../b", "é",
            "a\n", "r.io/.", "./a", "a/./b",
        ] {
            assert!(matches!(refused(text), ImageRefError::Repository { .. }), "{text}: {:?}", refused(text));
        }
        for text in ["a:", "a:.b", "a:-b", "a:b c", "a:é", &format!("a:{}", "t".repeat(129)), "::1"] {
            assert!(
                matches!(refused(text), ImageRefError::Tag { .. } | ImageRefError::Repository { .. }),
                "{text}"
            );
        }
        for text in [
            "r.io:/a",
            "r.io:0/a",
            "r.io:99999/a",
            "r.io:+5/a",
            "-r.io/a",
            "r..io/a",
            "[zz]/a",
            "[::1]x/a",
            "r_x.io/a",
            "a:b:c/d",
        ] {
            assert!(matches!(refused(text), ImageRefError::Registry { .. }), "{text}: {:?}", refused(text));
        }
        for text in ["a@", "a@sha256:", "a@sha512:00", &format!("a@sha256:{}", HEX.to_uppercase()), "a@b@c"] {
            assert!(matches!(refused(text), ImageRefError::Digest { .. }), "{text}");
        }
    }

    #[test]
    fn serde_goes_through_the_grammar() {
        let reference: ImageRef = serde_json::from_str("\"alpine\"").unwrap();
        assert_eq!(serde_json::to_string(&reference).unwrap(), "\"docker.io/library/alpine:latest\"");
        assert!(serde_json::from_str::<ImageRef>("\"../etc\"").is_err());
    }

    #[test]
    fn digests_round_trip() {
        let digest = Digest::parse(&format!("sha256:{HEX}")).unwrap();
        assert_eq!(digest.hex(), HEX);
        assert_eq!(Digest::from_sha256([0xab; 32]).to_string(), format!("sha256:{}", "ab".repeat(32)));
    }
}
