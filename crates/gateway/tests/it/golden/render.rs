//! A message as lines of a data file, with what differs each time named, and what is nobody's promise put in order.

use std::sync::LazyLock;

use regex::{Captures, Regex};

/// What differs from one exchange to the next, and what stands for it.
static MASKS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    [
        ("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "{uuid}"),
        (r"\b[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?Z", "{time}"),
        (r"\b[0-9]{19}\b", "{nanos}"),
        (r"127\.0\.0\.1:[0-9]{1,5}\b", "{peer}"),
        (r"\b00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}\b", "{trace}"),
        (r"x-duration-seconds: [0-9.]+", "x-duration-seconds: {seconds}"),
        (&regex::escape(env!("CARGO_PKG_VERSION")), "{version}"),
        (r#""arch":"[a-z0-9]+""#, r#""arch":"{arch}""#),
    ]
    .map(|(pattern, name)| (Regex::new(pattern).expect("a pattern"), name))
    .into()
});

pub fn rendered(message: &[u8]) -> Vec<String> {
    if message.is_empty() {
        return vec!["{closed}\\".into()];
    }
    let text = escaped(message);
    // An interim answer has a head alone, and the final one comes behind it.
    if text.starts_with("HTTP/1.1 1")
        && let Some(end) = message.windows(4).position(|window| window == b"\r\n\r\n")
        && end + 4 < message.len()
    {
        return [rendered(&message[..end + 4]), rendered(&message[end + 4..])].concat();
    }
    let (head, body) = text.split_once("\\r\\n\\r\\n").unwrap_or((&text, ""));
    let masked_body = masked(body);
    let mut lines: Vec<String> = head.split("\\r\\n").map(masked).collect();
    let first = lines.remove(0);
    lines.retain(|line| !line.starts_with("date: "));
    for line in &mut lines {
        if let Some((name, value)) = line.split_once(':') {
            *line = format!("{}:{value}", name.to_ascii_lowercase());
        }
        if masked_body != body && line.starts_with("content-length: ") {
            *line = "content-length: {length}".into();
        }
    }
    // Stable, so that headers of one name keep their order.
    lines.sort_by(|a, b| name(a).cmp(name(b)));
    lines.insert(0, first);
    lines.push(String::new());
    let mut rest = masked_body.as_str();
    while let Some((line, after)) = rest.split_once("\\r\\n") {
        lines.push(line.to_owned());
        rest = after;
    }
    if !rest.is_empty() {
        lines.push(format!("{rest}\\"));
    }
    lines
}

fn name(line: &str) -> &str {
    line.split_once(':').map_or(line, |(name, _)| name)
}

fn masked(text: &str) -> String {
    let mut text = text.to_owned();
    for (pattern, name) in MASKS.iter() {
        text = pattern.replace_all(&text, |_: &Captures<'_>| *name).into_owned();
    }
    text
}

fn escaped(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        match byte {
            b'\r' => text.push_str("\\r"),
            b'\n' => text.push_str("\\n"),
            b'\t' => text.push_str("\\t"),
            b'\\' => text.push_str("\\\\"),
            b' '..=b'~' => text.push(char::from(*byte)),
            _ => text.push_str(&format!("\\x{byte:02x}")),
        }
    }
    text
}
