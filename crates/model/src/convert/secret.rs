//! Secrets: their names, and the bytes that a client wrote in one of two ways.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::wire::Secret;
use crate::{SecretId, SecretName, SecretValue, SpecError};

use super::error;

impl Secret {
    /// A request that makes or replaces a secret. Servers that know nothing of exact bytes take `value`, where the bytes
    /// are text.
    pub fn with_value(id: &SecretId, value: &SecretValue) -> Self {
        Self {
            value: str::from_utf8(value.as_bytes()).ok().map(str::to_owned),
            raw_value: Some(STANDARD.encode(value.as_bytes())),
            ..Self::named(&id.name)
        }
    }

    pub fn named(name: &SecretName) -> Self {
        Self { name: Some(name.to_string()), ..Self::default() }
    }

    pub fn parse_name(&self) -> Result<SecretName, SpecError> {
        match self.name.as_deref().unwrap_or_default() {
            "" => Err(error("name", "is required")),
            name => SecretName::parse(name),
        }
    }

    /// The exact bytes where they are told, else the text. No error tells any of them.
    pub fn into_value(self) -> Result<SecretValue, SpecError> {
        match self.raw_value.filter(|encoded| !encoded.is_empty()) {
            Some(encoded) => {
                let bytes =
                    STANDARD.decode(encoded).map_err(|_| error("rawValue", "is not padded base64"))?;
                SecretValue::new(bytes)
            }
            None => SecretValue::new(self.value.unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Namespace;
    use crate::secret::SECRET_MAX;

    fn value(json: &str) -> Result<Vec<u8>, String> {
        let secret: Secret = serde_json::from_str(json).unwrap();
        secret.into_value().map(|value| value.as_bytes().to_vec()).map_err(|error| error.to_string())
    }

    #[test]
    fn exact_bytes_win() {
        assert_eq!(value(r#"{"value":"text"}"#).unwrap(), b"text");
        assert_eq!(value(r#"{"value":"text","rawValue":""}"#).unwrap(), b"text");
        assert_eq!(value(r#"{"value":"text","rawValue":null}"#).unwrap(), b"text");
        assert_eq!(value(r#"{"value":"text","rawValue":"AP8K"}"#).unwrap(), [0, 255, 10]);
        assert_eq!(value("{}").unwrap(), b"");
        for bad in ["AP8", "AP8K=", "A P8", "AP_-"] {
            let told = value(&format!("{{\"rawValue\":\"{bad}\"}}")).unwrap_err();
            assert_eq!(told, "rawValue: is not padded base64", "{bad}");
        }
        let large = format!("{{\"value\":\"{}\"}}", "x".repeat(SECRET_MAX + 1));
        assert_eq!(value(&large).unwrap_err(), "value: 1048577 bytes; at most 1048576 are allowed");
    }

    #[test]
    fn any_bytes_survive_the_wire() {
        let id = SecretId::new(SecretName::parse("a.b").unwrap(), Namespace::default());
        for bytes in [&b"text"[..], b"", &[0, 255, 10]] {
            let sent = Secret::with_value(&id, &SecretValue::new(bytes).unwrap());
            let json = serde_json::to_string(&sent).unwrap();
            assert_eq!(value(&json).unwrap(), bytes);
        }
    }

    #[test]
    fn names_are_checked() {
        let check = |json: &str, want: Option<&str>| {
            let secret: Secret = serde_json::from_str(json).unwrap();
            assert_eq!(secret.parse_name().ok().as_ref().map(SecretName::as_str), want, "{json}");
        };
        check(r#"{"name":"db.password-1"}"#, Some("db.password-1"));
        for bad in ["", "A", "a_b", "../a", "a/b", ".a", "a.", " "] {
            check(&format!("{{\"name\":\"{bad}\"}}"), None);
        }
        check("{}", None);
    }
}
