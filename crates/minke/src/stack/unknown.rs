//! Finds the keys of a stack file that nobody reads, so that a typo does not pass in silence.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

const ROOT: [&str; 4] = ["version", "provider", "configuration", "functions"];
const PROVIDER: [&str; 2] = ["name", "gateway"];
const CONFIGURATION: [&str; 2] = ["templates", "copy"];
const RESOURCES: [&str; 2] = ["memory", "cpu"];
const FUNCTION: [&str; 20] = [
    "lang",
    "handler",
    "image",
    "fprocess",
    "skip_build",
    "environment",
    "environment_file",
    "secrets",
    "labels",
    "annotations",
    "constraints",
    "limits",
    "requests",
    "readonly_root_filesystem",
    "namespace",
    "build_args",
    "build_options",
    "build_secrets",
    "platforms",
    "build_labels",
];

/// The key, where it stands, and what may stand there.
pub struct Unknown {
    pub key: String,
    pub line: u64,
    pub hint: Option<&'static str>,
}

/// Looks through a text that is known to parse.
pub fn unknown_keys(text: &str) -> Vec<Unknown> {
    let Ok(root) = serde_saphyr::from_str::<Keys>(text) else { return Vec::new() };
    let mut found = Vec::new();
    check(&root, &ROOT, "", &mut found);
    for (key, value) in &root.0 {
        match key.value.as_str() {
            "provider" => check(value, &PROVIDER, "provider.", &mut found),
            "configuration" => check(value, &CONFIGURATION, "configuration.", &mut found),
            "functions" => {
                value.0.iter().for_each(|(name, body)| check_function(&name.value, body, &mut found))
            }
            _ => {}
        }
    }
    found
}

fn check_function(name: &str, body: &Keys, found: &mut Vec<Unknown>) {
    let path = format!("functions.{name}.");
    check(body, &FUNCTION, &path, found);
    for (key, value) in &body.0 {
        if matches!(key.value.as_str(), "limits" | "requests") {
            check(value, &RESOURCES, &format!("{path}{}.", key.value), found);
        }
    }
}

fn check(keys: &Keys, known: &[&'static str], path: &str, found: &mut Vec<Unknown>) {
    for (key, _) in &keys.0 {
        let extension = path.is_empty() && key.value.starts_with("x-");
        if !known.contains(&key.value.as_str()) && !extension {
            found.push(Unknown {
                key: format!("{path}{}", key.value),
                line: key.referenced.line(),
                hint: nearest(&key.value, known),
            });
        }
    }
}

/// A known key that differs by little more than a slip of the finger.
fn nearest(key: &str, known: &[&'static str]) -> Option<&'static str> {
    let squash = |text: &str| text.to_ascii_lowercase().replace(['_', '-'], "");
    let key = squash(key);
    let close = |candidate: &&&str| {
        let candidate = squash(candidate);
        candidate == key
            || candidate == format!("{key}s")
            || key == format!("{candidate}s")
            || (key.len() >= 3 && candidate.starts_with(&key))
            || one_apart(&candidate, &key)
    };
    known.iter().find(close).copied()
}

/// Whether one letter was changed, lost or added.
fn one_apart(a: &str, b: &str) -> bool {
    let (a, b) = if a.len() >= b.len() { (a.as_bytes(), b.as_bytes()) } else { (b.as_bytes(), a.as_bytes()) };
    let same = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    match a.len() - b.len() {
        0 => same < a.len() && a[same + 1..] == b[same + 1..],
        1 => a[same + 1..] == b[same..],
        _ => false,
    }
}

/// The keys of a document, all the way down; what is no mapping has none.
struct Keys(Vec<(Spanned<String>, Keys)>);

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(KeysVisitor)
    }
}

struct KeysVisitor;

impl<'de> Visitor<'de> for KeysVisitor {
    type Value = Keys;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
        let mut keys = Vec::new();
        while let Some(entry) = map.next_entry()? {
            keys.push(entry);
        }
        Ok(Keys(keys))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Keys, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Keys(Vec::new()))
    }

    fn visit_str<E>(self, _: &str) -> Result<Keys, E> {
        Ok(Keys(Vec::new()))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Keys, E> {
        Ok(Keys(Vec::new()))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Keys, E> {
        Ok(Keys(Vec::new()))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Keys, E> {
        Ok(Keys(Vec::new()))
    }

    fn visit_i128<E>(self, _: i128) -> Result<Keys, E> {
        Ok(Keys(Vec::new()))
    }

    fn visit_u128<E>(self, _: u128) -> Result<Keys, E> {
        Ok(Keys(Vec::new()))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Keys, E> {
        Ok(Keys(Vec::new()))
    }

    fn visit_bytes<E>(self, _: &[u8]) -> Result<Keys, E> {
        Ok(Keys(Vec::new()))
    }

    fn visit_unit<E>(self) -> Result<Keys, E> {
        Ok(Keys(Vec::new()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typos_are_found_with_their_line() {
        let text = "version: 1.0\nprovder: {}\nprovider:\n  name: openfaas\n  gatway: x\nx-shared: &s {a: b}\n\
                    functions:\n  f:\n    image: i\n    environmnet: {A: b}\n    label: {a: b}\n    limits:\n      \
                    mem: 1\n    annotations:\n      <<: *s\n      any: thing\n    wat: 1\n";
        let found: Vec<_> = unknown_keys(text).into_iter().map(|u| (u.key, u.line, u.hint)).collect();
        let want = [
            ("provder", 2, Some("provider")),
            ("provider.gatway", 5, Some("gateway")),
            ("functions.f.environmnet", 10, None),
            ("functions.f.label", 11, Some("labels")),
            ("functions.f.wat", 17, None),
            ("functions.f.limits.mem", 13, Some("memory")),
        ];
        let want: Vec<_> = want.iter().map(|(key, line, hint)| ((*key).to_owned(), *line, *hint)).collect();
        assert_eq!(found, want);
    }
}
