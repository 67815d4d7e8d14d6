//! `.dockerignore`: what of the context a build does not see.

use std::ffi::OsString;

use super::glob;

#[derive(Debug, Default)]
pub(super) struct Ignore {
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    parts: Vec<String>,
    /// The rule begins with `!`: what it matches is seen after all.
    readmits: bool,
}

impl Ignore {
    pub(super) fn parse(text: &str) -> Self {
        let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim);
        let rules = lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(|line| {
            let (readmits, pattern) = match line.strip_prefix('!') {
                Some(rest) => (true, rest.trim()),
                None => (false, line),
            };
            let parts = pattern.split('/').filter(|part| !part.is_empty() && *part != ".").map(str::to_owned);
            Rule { parts: parts.collect(), readmits }
        });
        Self { rules: rules.filter(|rule| !rule.parts.is_empty()).collect() }
    }

    /// The last rule that matches the path or one of its directories decides.
    pub(super) fn ignores(&self, path: &[OsString]) -> bool {
        let decides = |rule: &&Rule| {
            let parts: Vec<&str> = rule.parts.iter().map(String::as_str).collect();
            (1..=path.len()).any(|count| glob::matches(&parts, &path[..count]))
        };
        self.rules.iter().rev().find(decides).is_some_and(|rule| !rule.readmits)
    }

    /// False when nothing below an ignored directory can be seen again.
    pub(super) fn may_readmit(&self) -> bool {
        self.rules.iter().any(|rule| rule.readmits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_rule_decides() {
        let ignore = Ignore::parse(
            "# a comment\n\n*.md\n!README.md\n/target/\n**/*.o\nnode_modules\n!node_modules/keep\n.\n",
        );
        let ignores = |path: &str| ignore.ignores(&path.split('/').map(Into::into).collect::<Vec<_>>());
        for path in ["a.md", "target", "target/debug/x", "a.o", "deep/er/b.o", "node_modules/x"] {
            assert!(ignores(path), "{path}");
        }
        for path in ["README.md", "src/a.md", "src/target", "node_modules/keep", "node_modules/keep/x", "a"] {
            assert!(!ignores(path), "{path}");
        }
        assert!(ignore.may_readmit());
        assert!(!Ignore::parse("a").may_readmit());
    }
}
