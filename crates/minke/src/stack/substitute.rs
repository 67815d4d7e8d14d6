//! `${VARIABLE}` in a stack file, on the raw text before YAML sees it (contract 3.1). The grammar is the one that
//! stack files in the field are written in; it looks like a shell's and differs from it where the table says so.

/// Deepest nesting of defaults within defaults.
const DEPTH_MAX: usize = 32;
/// Longest result.
const OUTPUT_MAX: usize = 4 * 1024 * 1024;

#[derive(Debug, PartialEq, Eq)]
pub struct SubstituteError {
    pub line: usize,
    pub problem: String,
}

pub fn substitute(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<String, SubstituteError> {
    let mut scanner = Scanner { text, at: 0, depth: 0, env };
    let (output, _) = scanner.run(&[])?;
    Ok(output)
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    env: &'a dyn Fn(&str) -> Option<String>,
}

impl Scanner<'_> {
    /// Reads text, substituting, to the end or to the first of `stops`, which is consumed and told.
    fn run(&mut self, stops: &[char]) -> Result<(String, Option<char>), SubstituteError> {
        let mut output = String::new();
        while let Some(c) = self.peek() {
            let rest = &self.text[self.at..];
            if stops.contains(&c) {
                self.at += c.len_utf8();
                return Ok((output, Some(c)));
            }
            if rest.starts_with("${") {
                output += &self.expression()?;
            } else if rest.starts_with("$$") {
                output.push('$');
                self.at += 2;
            } else if rest.starts_with(r"\\") || rest.starts_with(r"\/") {
                output.push_str(&rest[1..2]);
                self.at += 2;
            } else {
                output.push(c);
                self.at += c.len_utf8();
            }
            if output.len() > OUTPUT_MAX {
                return Err(self.error(self.at, format!("the result is longer than {OUTPUT_MAX} bytes")));
            }
        }
        Ok((output, None))
    }

    fn expression(&mut self) -> Result<String, SubstituteError> {
        let start = self.at;
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.error(start, format!("more than {DEPTH_MAX} defaults within defaults")));
        }
        self.at += 2;
        let length = self.eat("#");
        let name = self.name();
        if name.is_empty() {
            return Err(
                self.error(start, "${ without the name of a variable; write $${ for the text itself".into())
            );
        }
        let value = (self.env)(&name);
        let output = if length {
            if !self.eat("}") {
                return Err(self.unclosed(start));
            }
            value.unwrap_or_default().len().to_string()
        } else {
            self.operation(start, value.unwrap_or_default())?
        };
        self.depth -= 1;
        Ok(output)
    }

    /// What stands between the name and the closing brace.
    fn operation(&mut self, start: usize, value: String) -> Result<String, SubstituteError> {
        if self.eat("}") {
            return Ok(value);
        }
        // All of these give the default in the same cases; a shell would not.
        if [":-", ":=", ":?", ":+", "="].iter().any(|operator| self.eat(operator)) {
            let default = self.argument(start)?;
            return Ok(if value.is_empty() { default } else { value });
        }
        if self.eat(":") {
            return Ok(substring(&value, &self.argument(start)?));
        }
        if self.eat("^^") {
            return self.closed(start, value.to_uppercase());
        }
        if self.eat(",,") {
            return self.closed(start, value.to_lowercase());
        }
        if self.eat("^") {
            return self.closed(start, first_letter(&value, |c| c.to_uppercase().collect()));
        }
        if self.eat(",") {
            return self.closed(start, first_letter(&value, |c| c.to_lowercase().collect()));
        }
        for (operator, end, longest) in [
            ("##", End::Prefix, true),
            ("#", End::Prefix, false),
            ("%%", End::Suffix, true),
            ("%", End::Suffix, false),
        ] {
            if self.eat(operator) {
                return Ok(trim(&value, &self.argument(start)?, end, longest));
            }
        }
        if self.eat("/") {
            return self.replace(start, &value);
        }
        Err(self.unclosed(start))
    }

    fn replace(&mut self, start: usize, value: &str) -> Result<String, SubstituteError> {
        let kind = ["/", "#", "%"].into_iter().find(|kind| self.eat(kind)).unwrap_or_default();
        let (old, stop) = self.run(&['/', '}'])?;
        let new = match stop {
            Some('/') => self.argument(start)?,
            Some(_) => String::new(),
            None => return Err(self.unclosed(start)),
        };
        if old.is_empty() {
            return Ok(value.to_owned());
        }
        Ok(match kind {
            "/" => value.replace(&old, &new),
            "#" => value.strip_prefix(&old).map_or(value.to_owned(), |rest| new + rest),
            "%" => value.strip_suffix(&old).map_or(value.to_owned(), |rest| rest.to_owned() + &new),
            _ => value.replacen(&old, &new, 1),
        })
    }

    /// The rest of the expression, which may hold others.
    fn argument(&mut self, start: usize) -> Result<String, SubstituteError> {
        match self.run(&['}'])? {
            (argument, Some(_)) => Ok(argument),
            (_, None) => Err(self.unclosed(start)),
        }
    }

    fn closed(&mut self, start: usize, output: String) -> Result<String, SubstituteError> {
        if self.eat("}") { Ok(output) } else { Err(self.unclosed(start)) }
    }

    fn name(&mut self) -> String {
        let rest = &self.text[self.at..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        self.at += end;
        rest[..end].to_owned()
    }

    fn eat(&mut self, token: &str) -> bool {
        let found = self.text[self.at..].starts_with(token);
        self.at += if found { token.len() } else { 0 };
        found
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn unclosed(&self, start: usize) -> SubstituteError {
        let shown: String =
            self.text[start..].chars().take_while(|c| *c != '\n' && *c != '}').take(40).collect();
        self.error(
            start,
            format!("missing closing brace after {shown:?}; a default is written ${{NAME:-default}}"),
        )
    }

    fn error(&self, at: usize, problem: String) -> SubstituteError {
        SubstituteError { line: self.text[..at].matches('\n').count() + 1, problem }
    }
}

/// `offset` or `offset:length` in characters; what is no such thing changes nothing.
fn substring(value: &str, argument: &str) -> String {
    let (offset, length) = match argument.split_once(':') {
        Some((offset, length)) => (offset, Some(length)),
        None => (argument, None),
    };
    let Ok(offset) = offset.parse::<usize>() else { return value.to_owned() };
    let rest = value.chars().skip(offset);
    match length.map(str::parse::<usize>) {
        Some(Ok(length)) => rest.take(length).collect(),
        Some(Err(_)) => value.to_owned(),
        None => rest.collect(),
    }
}

fn first_letter(value: &str, change: impl Fn(char) -> String) -> String {
    let mut chars = value.chars();
    chars.next().map(|first| change(first) + chars.as_str()).unwrap_or_default()
}

#[derive(Clone, Copy, PartialEq)]
enum End {
    Prefix,
    Suffix,
}

/// Cuts the shortest or longest part that matches a glob from one end.
fn trim(value: &str, glob: &str, end: End, longest: bool) -> String {
    let glob: Vec<char> = glob.chars().collect();
    let cuts: Vec<usize> = value.char_indices().map(|(at, _)| at).chain([value.len()]).collect();
    let matching = |at: &&usize| {
        let part = if end == End::Prefix { &value[..**at] } else { &value[**at..] };
        matches_glob(&glob, &part.chars().collect::<Vec<_>>())
    };
    // The shortest prefix and the longest suffix are the first cut from the left.
    let from_left = (end == End::Prefix) != longest;
    let cut = if from_left { cuts.iter().find(matching) } else { cuts.iter().rev().find(matching) };
    match cut {
        Some(cut) if end == End::Prefix => value[*cut..].to_owned(),
        Some(cut) => value[..*cut].to_owned(),
        None => value.to_owned(),
    }
}

/// `*` and `?`, without recursion.
fn matches_glob(glob: &[char], text: &[char]) -> bool {
    let (mut g, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match glob.get(g) {
            Some('*') => {
                star = Some((g, t));
                g += 1;
            }
            Some(c) if *c == '?' || *c == text[t] => {
                g += 1;
                t += 1;
            }
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    g = at + 1;
                    t = taken + 1;
                }
                None => return false,
            },
        }
    }
    glob[g..].iter().all(|c| *c == '*')
}

#[cfg(test)]
#[path = "substitute/tests.rs"]
mod tests;
