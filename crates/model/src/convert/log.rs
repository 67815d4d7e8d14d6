//! Lines of logs.

use jiff::Timestamp;

use crate::wire::LogMessage;
use crate::{FunctionId, LogLine};

impl From<LogLine> for LogMessage {
    fn from(line: LogLine) -> Self {
        Self {
            name: Some(line.function.name.into()),
            namespace: Some(line.function.namespace.into()),
            instance: Some(line.instance),
            timestamp: Some(line.timestamp.to_string()),
            text: Some(line.text),
        }
    }
}

impl LogMessage {
    /// A far side's line of the function that was asked for; some servers leave parts out, and the line's end in.
    pub fn into_line(self, function: &FunctionId) -> LogLine {
        let timestamp = self.timestamp.as_deref().unwrap_or_default().parse::<Timestamp>();
        let mut text = self.text.unwrap_or_default();
        text.truncate(text.trim_end_matches(['\r', '\n']).len());
        LogLine {
            function: function.clone(),
            instance: self.instance.unwrap_or_default(),
            timestamp: timestamp.unwrap_or_default(),
            text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Namespace;

    #[test]
    fn a_line_survives_the_wire() {
        let function = FunctionId::parse("env", &Namespace::default()).unwrap();
        let line = LogLine {
            function: function.clone(),
            instance: "env-1".into(),
            timestamp: "2026-01-02T03:04:05.600000001Z".parse().unwrap(),
            text: "a \"b\"\t".into(),
        };
        let json = serde_json::to_string(&LogMessage::from(line.clone())).unwrap();
        assert_eq!(
            json,
            r#"{"name":"env","namespace":"openfaas-fn","instance":"env-1","timestamp":"2026-01-02T03:04:05.600000001Z","text":"a \"b\"\t"}"#
        );
        let told: LogMessage = serde_json::from_str(&json).unwrap();
        assert_eq!(told.into_line(&function), line);
        let sparse: LogMessage = serde_json::from_str(r#"{"text":"x\r\n","namespace":""}"#).unwrap();
        assert_eq!(sparse.into_line(&function).text, "x");
    }
}
