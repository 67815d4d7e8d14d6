//! Patterns of COPY and `.dockerignore`: `*`, `?`, `[a-z]`, `[^a]`, `\` within a part of a path, `**` across parts.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

/// True when text has a character that a pattern gives a meaning to.
pub(super) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '[', '\\'])
}

/// Does the pattern, split at its slashes, match the whole path?
pub(super) fn matches(pattern: &[&str], path: &[OsString]) -> bool {
    match (pattern.split_first(), path.split_first()) {
        (None, None) => true,
        (Some((&"**", rest)), _) => (0..=path.len()).any(|skipped| matches(rest, &path[skipped..])),
        (Some((part, rest)), Some((name, deeper))) => {
            part_matches(part.as_bytes(), name.as_bytes()) && matches(rest, deeper)
        }
        _ => false,
    }
}

fn part_matches(pattern: &[u8], name: &[u8]) -> bool {
    // Where to go on when a later character does not fit: one more character for the last star.
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p, n));
            p += 1;
        } else if let Some(width) = one_matches(&pattern[p..], name[n]) {
            p += width;
            n += 1;
        } else if let Some((at, matched)) = star {
            star = Some((at, matched + 1));
            (p, n) = (at + 1, matched + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|b| *b == b'*')
}

/// How much of the pattern matched this byte.
fn one_matches(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern {
        [b'?', ..] => Some(1),
        [b'\\', escaped, ..] => (*escaped == byte).then_some(2),
        [b'[', rest @ ..] => {
            let negated = matches!(rest.first(), Some(b'^' | b'!'));
            let set = &rest[usize::from(negated)..];
            // A bracket that comes first stands for itself.
            let end = 1 + set.iter().skip(1).position(|b| *b == b']')?;
            let found = in_set(&set[..end], byte);
            (found != negated).then_some(1 + usize::from(negated) + end + 1)
        }
        [literal, ..] => (*literal == byte).then_some(1),
        [] => None,
    }
}

fn in_set(mut set: &[u8], byte: u8) -> bool {
    loop {
        set = match set {
            [low, b'-', high, rest @ ..] => {
                if (low..=high).contains(&&byte) {
                    return true;
                }
                rest
            }
            [one, rest @ ..] => {
                if *one == byte {
                    return true;
                }
                rest
            }
            [] => return false,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_documented() {
        let check = |pattern: &str, path: &str, expected: bool| {
            let parts: Vec<&str> = pattern.split('/').collect();
            let path: Vec<OsString> = path.split('/').map(Into::into).collect();
            assert_eq!(matches(&parts, &path), expected, "{pattern} {path:?}");
        };
        check("a", "a", true);
        check("a", "a/b", false);
        check("*.rs", "main.rs", true);
        check("*.rs", "src/main.rs", false);
        check("a*b*c", "axxbyybzc", true);
        check("a*b*c", "axxbyybz", false);
        check("?x", "ax", true);
        check("?x", "x", false);
        check("[a-c]x", "bx", true);
        check("[^a-c]x", "bx", false);
        check("[]]", "]", true);
        check("\\*", "*", true);
        check("\\*", "a", false);
        check("**/x", "x", true);
        check("**/x", "a/b/x", true);
        check("a/**", "a/b/c", true);
        check("a/**/c", "a/c", true);
        check("a/**/c", "a/b/d", false);
    }
}
