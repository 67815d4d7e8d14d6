//! `--filter` and `--regex`: which functions of a stack file a command is about.

use regex::Regex;

use super::Stack;
use crate::error::Failure;
use crate::flags::StackFlags;

type Matches<'a> = Box<dyn Fn(&str) -> bool + 'a>;

/// Leaves the chosen functions, in their order; choosing none is a mistake.
pub fn select(stack: &mut Stack, flags: &StackFlags) -> Result<(), Failure> {
    let (chosen, what): (Matches<'_>, &str) = match (&flags.filter, &flags.regex) {
        (Some(wildcard), _) => (Box::new(|name| matches_wildcard(wildcard, name)), wildcard),
        (None, Some(text)) => {
            let regex = Regex::new(text).map_err(|error| {
                let reason = error.to_string();
                let reason =
                    reason.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
                Failure::usage(format_args!("--regex {text:?} is not a regular expression: {reason}"))
            })?;
            (Box::new(move |name| regex.is_match(name)), text)
        }
        (None, None) => return Ok(()),
    };
    stack.functions.retain(|function| chosen(function.name.as_str()));
    if stack.functions.is_empty() {
        let path = stack.path.display();
        return Err(Failure::usage(format_args!("no function of {path} matches {what:?}")));
    }
    Ok(())
}

/// `*` stands for any run of characters, also none.
fn matches_wildcard(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_whole_names() {
        for (pattern, name, want) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("a*", "ab", true),
            ("*b", "ab", true),
            ("a*b", "ab", true),
            ("a*b", "a", false),
            ("*", "anything", true),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxcyyb", false),
            ("ab*ba", "aba", false),
            ("", "a", false),
        ] {
            assert_eq!(matches_wildcard(pattern, name), want, "{pattern} {name}");
        }
    }
}
