//! The shape of a stack file, as it is written. Unknown keys are another file's business (`unknown.rs`).

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_saphyr::Spanned;

/// Every scalar is kept as written; YAML's own ideas of types do not apply, and `null` is the empty string.
pub type TextMap = BTreeMap<String, Option<String>>;

#[derive(Debug, Deserialize)]
pub struct Document {
    #[serde(default)]
    pub version: Option<Spanned<String>>,
    #[serde(default)]
    pub provider: Option<Provider>,
    #[serde(default)]
    pub functions: Option<InOrder<Option<Function>>>,
}

#[derive(Debug, Deserialize)]
pub struct Provider {
    #[serde(default)]
    pub name: Option<Spanned<String>>,
    #[serde(default)]
    pub gateway: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Function {
    pub lang: Option<String>,
    pub handler: Option<String>,
    pub image: Option<String>,
    pub fprocess: Option<String>,
    pub skip_build: Option<bool>,
    pub environment: Option<TextMap>,
    pub environment_file: Option<Vec<String>>,
    pub secrets: Option<Vec<String>>,
    pub labels: Option<TextMap>,
    pub annotations: Option<TextMap>,
    pub constraints: Option<Vec<String>>,
    pub limits: Option<Resources>,
    pub requests: Option<Resources>,
    pub readonly_root_filesystem: Option<bool>,
    pub namespace: Option<String>,
    pub build_args: Option<TextMap>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Resources {
    pub memory: Option<String>,
    pub cpu: Option<String>,
}

/// What an `environment_file` holds.
#[derive(Debug, Deserialize)]
pub struct EnvironmentFile {
    #[serde(default)]
    pub environment: Option<TextMap>,
}

/// A mapping whose order matters.
#[derive(Debug)]
pub struct InOrder<T>(pub Vec<(Spanned<String>, T)>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for InOrder<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
            type Value = InOrder<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(InOrder(entries))
            }
        }

        deserializer.deserialize_map(Entries(PhantomData))
    }
}
