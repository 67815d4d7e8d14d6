//! One line of `GET /system/logs` (contract 1.3.7).

use serde::Serialize;

use super::decode::go_object;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LogMessage {
    pub name: Option<String>,
    pub namespace: Option<String>,
    pub instance: Option<String>,
    /// RFC 3339, to the nanosecond.
    pub timestamp: Option<String>,
    /// Some servers leave the line's end in it.
    pub text: Option<String>,
}

go_object!(LogMessage {
    name: "name",
    namespace: "namespace",
    instance: "instance",
    timestamp: "timestamp",
    text: "text",
});
