//! One line as it lies on disk: `<nanoseconds since 1970> <instance> <text>`.

use std::io::Write;

use jiff::Timestamp;
use model::{FunctionId, LogLine};

/// Appends a line; text that is no UTF-8 is mended.
pub fn encode(into: &mut Vec<u8>, at: Timestamp, instance: &str, text: &[u8]) {
    // Writing to memory does not fail.
    let _ = write!(into, "{} {instance} ", at.as_nanosecond());
    match std::str::from_utf8(text) {
        Ok(text) => into.extend_from_slice(text.as_bytes()),
        Err(_) => into.extend_from_slice(String::from_utf8_lossy(text).as_bytes()),
    }
    into.push(b'\n');
}

/// Of a line without its end; `None` when nobody of ours wrote it.
pub fn decode(line: &[u8], function: &FunctionId) -> Option<LogLine> {
    let line = std::str::from_utf8(line).ok()?;
    let (at, rest) = line.split_once(' ')?;
    let (instance, text) = rest.split_once(' ')?;
    Some(LogLine {
        function: function.clone(),
        instance: instance.to_owned(),
        timestamp: Timestamp::from_nanosecond(at.parse().ok()?).ok()?,
        text: text.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        let function = FunctionId::parse("f", &model::Namespace::default()).unwrap();
        let at: Timestamp = "2026-01-02T03:04:05.123456789Z".parse().unwrap();
        let check = |text: &[u8], expected: &str| {
            let mut bytes = Vec::new();
            encode(&mut bytes, at, "f.ns.12", text);
            assert_eq!(bytes.pop(), Some(b'\n'));
            let line = decode(&bytes, &function).unwrap();
            assert_eq!(
                (line.timestamp, line.instance.as_str(), line.text.as_str()),
                (at, "f.ns.12", expected)
            );
        };
        check(b"", "");
        check(b"  a  b ", "  a  b ");
        check("käse \0 \r \"x\"".as_bytes(), "käse \0 \r \"x\"");
        check(b"a\xffb", "a\u{fffd}b");
        for bad in ["", "x y z", "12", "12 i", "99999999999999999999999999999 i text"] {
            assert_eq!(decode(bad.as_bytes(), &function), None, "{bad:?}");
        }
    }
}
