//! Exchanges as data files: see the READMEs of `tests/golden/` and `tests/smuggling/`.

use std::path::{Path, PathBuf};

/// A file: what is set up, then its cases in their order.
#[derive(Debug)]
pub struct Script {
    pub path: PathBuf,
    head: String,
    pub setup: Vec<String>,
    pub cases: Vec<Case>,
}

#[derive(Debug, Default)]
pub struct Case {
    pub name: String,
    pub lines: Vec<Line>,
}

/// A line `KEY> text`, `KEY< text`, `key: text`, or one that means nothing (empty or a comment).
#[derive(Debug, Clone)]
pub struct Line {
    pub key: String,
    pub text: String,
}

/// The scripts of a folder beside this one, in the order of their names.
pub fn scripts(folder: &str) -> Vec<Script> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    let entries = std::fs::read_dir(&folder).expect("the folder is there");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut paths: Vec<_> = paths.filter(|path| path.extension().is_some_and(|end| end == "txt")).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{}", folder.display());
    paths.into_iter().map(Script::read).collect()
}

impl Script {
    fn read(path: PathBuf) -> Self {
        let text = std::fs::read_to_string(&path).expect("text");
        let head = text.split_inclusive('\n').take_while(|line| !line.starts_with("=== ")).collect();
        let mut script = Self { path, head, setup: Vec::new(), cases: Vec::new() };
        for line in text.lines() {
            match (line.strip_prefix("=== "), script.cases.last_mut()) {
                (Some(name), _) => script.cases.push(Case { name: name.to_owned(), lines: Vec::new() }),
                (None, Some(case)) => case.lines.push(Line::parse(line)),
                (None, None) if line.is_empty() || line.starts_with('#') => {}
                (None, None) => script.setup.push(line.to_owned()),
            }
        }
        script
    }

    /// What stands before the first case, as it stands there.
    pub fn head(&self) -> String {
        self.head.trim_end().to_owned() + "\n"
    }

    pub fn name(&self) -> String {
        self.path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
    }
}

impl Case {
    /// The bytes of the lines with this key; nothing when there is no such line.
    pub fn bytes(&self, key: &str) -> Option<Vec<u8>> {
        let mut lines = self.lines.iter().filter(|line| line.key == key).peekable();
        lines.peek()?;
        let mut bytes = Vec::new();
        for line in lines {
            let (text, end) = match line.text.strip_suffix('\\') {
                Some(text) if !text.ends_with('\\') => (text, ""),
                _ => (line.text.as_str(), "\r\n"),
            };
            unescape(text, &mut bytes);
            bytes.extend_from_slice(end.as_bytes());
        }
        Some(bytes)
    }

    pub fn texts(&self, key: &str) -> Vec<&str> {
        self.lines.iter().filter(|line| line.key == key).map(|line| line.text.as_str()).collect()
    }

    pub fn text(&self, key: &str) -> Option<&str> {
        self.texts(key).first().copied()
    }
}

impl Line {
    fn parse(line: &str) -> Self {
        let keyed = || {
            let end = line.find(|c: char| !c.is_ascii_alphanumeric())?;
            let key = line[..=end].strip_suffix([':', '<', '>', '+']).map(|_| &line[..=end])?;
            Some((key, line[end + 1..].strip_prefix(' ').unwrap_or(&line[end + 1..])))
        };
        match keyed() {
            Some((key, text)) if !line.starts_with('#') => Self { key: key.into(), text: text.into() },
            _ if line.is_empty() || line.starts_with('#') => Self { key: String::new(), text: line.into() },
            _ => panic!("neither a keyed line, nor a comment, nor empty: {line:?}"),
        }
    }
}

pub fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    unescape(text, &mut bytes);
    bytes
}

/// `\r`, `\n`, `\t`, `\0`, `\\`, `\xHH`, and `\{N*text}` for N times the text.
fn unescape(text: &str, bytes: &mut Vec<u8>) {
    let mut rest = text;
    while let Some((plain, escaped)) = rest.split_once('\\') {
        bytes.extend_from_slice(plain.as_bytes());
        let mut chars = escaped.chars();
        let byte = match chars.next().expect("an escape") {
            'r' => b'\r',
            'n' => b'\n',
            't' => b'\t',
            '0' => 0,
            '\\' => b'\\',
            'x' => {
                rest = &escaped[3..];
                bytes.push(u8::from_str_radix(&escaped[1..3], 16).expect("two hexadecimal digits"));
                continue;
            }
            '{' => {
                let (count, piece) = escaped[1..].split_once('*').expect("\\{N*text}");
                let (piece, after) = piece.split_once('}').expect("\\{N*text}");
                let mut one = Vec::new();
                unescape(piece, &mut one);
                bytes.extend(one.repeat(count.parse().expect("a count")));
                rest = after;
                continue;
            }
            other => panic!("no such escape: \\{other}"),
        };
        bytes.push(byte);
        rest = chars.as_str();
    }
    bytes.extend_from_slice(rest.as_bytes());
}
