//! `Secret`: what creates, replaces and removes one, and an entry of the list (contract 1.3.6).

use std::fmt;

use serde::Serialize;

use super::decode::go_object;

/// Values go in, and never out.
#[derive(Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Secret {
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The exact bytes in padded base64; wins when there is something in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw_value: Option<String>,
}

go_object!(Secret { name: "name", namespace: "namespace", value: "value", raw_value: "rawValue" });

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = (&self.name, &self.namespace);
        f.debug_struct("Secret").field("name", named.0).field("namespace", named.1).finish_non_exhaustive()
    }
}
