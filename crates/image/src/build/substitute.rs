//! Words of a Dockerfile: quotes, escapes and variables, as its reference has them.

use std::iter::Peekable;
use std::str::Chars;

/// The most that substitution may make of one text: a variable can name itself many times.
const EXPANDED_MAX: usize = 1024 * 1024;

/// Looks up a variable.
pub(super) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Removes quotes and escapes, replaces variables. The result is one word.
pub(super) fn expand(text: &str, escape: char, lookup: Lookup<'_>) -> Result<String, String> {
    let mut lexer = Lexer { chars: text.chars().peekable(), escape, lookup };
    let word = lexer.word(None)?;
    match word.len() > EXPANDED_MAX {
        true => Err(format!("expands to more than {EXPANDED_MAX} bytes")),
        false => Ok(word),
    }
}

/// Splits at white space that is neither quoted nor escaped; quotes and escapes stay.
pub(super) fn split(text: &str, escape: char) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c == escape && quote != Some('\'') {
            word.push(c);
            word.extend(chars.next());
            continue;
        }
        match quote {
            None if c.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                continue;
            }
            None if c == '"' || c == '\'' => quote = Some(c),
            Some(open) if open == c => quote = None,
            _ => {}
        }
        word.push(c);
    }
    match quote {
        Some(quote) => Err(format!("has a {quote} that is not closed")),
        None => {
            words.extend(Some(word).filter(|word| !word.is_empty()));
            Ok(words)
        }
    }
}

/// `NAME=value` words, or the older `NAME the rest of the line`; both sides still to be expanded.
pub(super) fn pairs(text: &str, escape: char) -> Result<Vec<(String, String)>, String> {
    let words = split(text, escape)?;
    let first = words.first().ok_or("needs a name and a value")?;
    if !first.contains('=') {
        let (name, rest) = text.trim().split_once(char::is_whitespace).ok_or("needs a value: NAME=value")?;
        return Ok(vec![(name.to_owned(), rest.trim().to_owned())]);
    }
    words
        .iter()
        .map(|word| match word.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
            _ => Err(format!("has {word:?} where NAME=value is expected")),
        })
        .collect()
}

struct Lexer<'a> {
    chars: Peekable<Chars<'a>>,
    escape: char,
    lookup: Lookup<'a>,
}

impl Lexer<'_> {
    /// Reads to the end, or to `stop`, which is consumed.
    fn word(&mut self, stop: Option<char>) -> Result<String, String> {
        let mut word = String::new();
        while let Some(c) = self.chars.next() {
            match c {
                c if Some(c) == stop => return Ok(word),
                '\'' => self.single_quoted(&mut word)?,
                '"' => self.double_quoted(&mut word)?,
                '$' => self.variable(&mut word)?,
                c if c == self.escape => word.extend(self.chars.next()),
                c => word.push(c),
            }
        }
        match stop {
            Some(stop) => Err(format!("has a ${{ without {stop}")),
            None => Ok(word),
        }
    }

    fn single_quoted(&mut self, word: &mut String) -> Result<(), String> {
        loop {
            match self.chars.next() {
                Some('\'') => return Ok(()),
                Some(c) => word.push(c),
                None => return Err("has a ' that is not closed".into()),
            }
        }
    }

    fn double_quoted(&mut self, word: &mut String) -> Result<(), String> {
        loop {
            match self.chars.next() {
                Some('"') => return Ok(()),
                Some('$') => self.variable(word)?,
                Some(c) if c == self.escape => match self.chars.next() {
                    Some(next) if next == '"' || next == '$' || next == self.escape => word.push(next),
                    Some(next) => word.extend([c, next]),
                    None => return Err("has a \" that is not closed".into()),
                },
                Some(c) => word.push(c),
                None => return Err("has a \" that is not closed".into()),
            }
        }
    }

    /// After a `$`.
    fn variable(&mut self, word: &mut String) -> Result<(), String> {
        if self.chars.next_if_eq(&'{').is_none() {
            let name = self.name();
            match name.is_empty() {
                true => word.push('$'),
                false => word.push_str(&(self.lookup)(&name).unwrap_or_default()),
            }
            return Ok(());
        }
        let name = self.name();
        if name.is_empty() {
            return Err("has a ${ without a name".into());
        }
        let value = (self.lookup)(&name);
        let mut operator = self.chars.next();
        // With a colon an empty value counts as none.
        let value = match operator == Some(':') {
            true => {
                operator = self.chars.next();
                value.filter(|value| !value.is_empty())
            }
            false => value,
        };
        let replaced = match operator {
            Some('}') => value.unwrap_or_default(),
            Some('-') => {
                let default = self.word(Some('}'))?;
                value.unwrap_or(default)
            }
            Some('+') => {
                let alternative = self.word(Some('}'))?;
                value.map(|_| alternative).unwrap_or_default()
            }
            Some('?') => {
                let message = self.word(Some('}'))?;
                value.ok_or_else(|| format!("needs the variable {name}: {message}"))?
            }
            _ => {
                return Err(format!("has an unsupported form of ${{{name}}}; use ${{{name}}}, :-, :+ or :?"));
            }
        };
        word.push_str(&replaced);
        match word.len() > EXPANDED_MAX {
            true => Err(format!("expands to more than {EXPANDED_MAX} bytes")),
            false => Ok(()),
        }
    }

    fn name(&mut self) -> String {
        let mut name = String::new();
        while let Some(c) = self.chars.next_if(|c| *c == '_' || c.is_ascii_alphanumeric()) {
            name.push(c);
            // `$1x` is the variable 1 and an x.
            if name.len() == 1 && c.is_ascii_digit() {
                break;
            }
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(name: &str) -> Option<String> {
        match name {
            "A" => Some("value".into()),
            "E" => Some(String::new()),
            _ => None,
        }
    }

    #[test]
    fn variables_are_replaced() {
        let check = |text: &str, expected: &str| {
            assert_eq!(expand(text, '\\', &lookup).as_deref(), Ok(expected), "{text}")
        };
        check("$A", "value");
        check("${A}x", "valuex");
        check("$Ax$A", "value");
        check("\\$A", "$A");
        check("'$A'", "$A");
        check("\"$A\"", "value");
        check("\"\\$A \\\" \\n\"", "$A \" \\n");
        check("${U:-d}", "d");
        check("${E:-d}", "d");
        check("${E-d}", "");
        check("${A:-d}", "value");
        check("${A:+alt}", "alt");
        check("${U:+alt}", "");
        check("${E+alt}", "alt");
        check("${U:-${A}/$A}", "value/value");
        check("${A:?no}", "value");
        check("cost: 5$", "cost: 5$");
        check("a\\ b", "a b");
        check("$U", "");
    }

    #[test]
    fn bad_words_are_refused() {
        for text in ["'a", "\"a", "${", "${A", "${A:-x", "${}", "${A#x}", "${U:?must be set}"] {
            assert!(expand(text, '\\', &lookup).is_err(), "{text}");
        }
        let long = "x".repeat(2000);
        let bomb = "$L".repeat(2000);
        assert!(expand(&bomb, '\\', &|_| Some(long.clone())).is_err());
    }

    #[test]
    fn pairs_are_read_in_both_forms() {
        let read = |text: &str| pairs(text, '\\');
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            read("A=b C=\"d e\" F=g\\ h"),
            Ok(vec![pair("A", "b"), pair("C", "\"d e\""), pair("F", "g\\ h")])
        );
        assert_eq!(read("A b c=d"), Ok(vec![pair("A", "b c=d")]));
        for text in ["", "A", "A=b C", "=b", "A=\"b"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
