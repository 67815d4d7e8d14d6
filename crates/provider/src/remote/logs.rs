//! `/system/logs` of a far side, read line by line as it comes.

use std::collections::VecDeque;

use futures_util::stream;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use model::wire::LogMessage;
use model::{LogLine, LogQuery};

use crate::{LogStream, ProviderError};

/// Longest line of the answer, JSON and all, that is read.
const LINE_MAX: usize = 4 * 1024 * 1024;

/// The path and the query, without the namespace. What is not bounded is asked for from the beginning of time: a server
/// that is told nothing leaves out what is older than some minutes.
pub(super) fn path(query: &LogQuery) -> String {
    let tail = query.tail.map_or("-1".to_owned(), |tail| tail.to_string());
    let (since, follow) = (query.since.unwrap_or_default(), u8::from(query.follow));
    let mut path =
        format!("/system/logs?name={}&tail={tail}&follow={follow}&since={since}", query.function.name);
    if let Some(instance) = &query.instance {
        path.push_str("&instance=");
        for byte in instance.bytes() {
            match byte {
                b'-' | b'.' | b'_' | b'~' => path.push(byte.into()),
                _ if byte.is_ascii_alphanumeric() => path.push(byte.into()),
                _ => path.push_str(&format!("%{byte:02X}")),
            }
        }
    }
    path
}

pub(super) fn lines(body: Incoming, query: LogQuery) -> LogStream {
    let reader = Reader { body: Some(body), unread: VecDeque::new(), seen: 0, query };
    Box::pin(stream::unfold(reader, |mut reader| async {
        let line = reader.line().await.transpose()?;
        Some((line, reader))
    }))
}

struct Reader {
    /// None after its end, and after what cannot be read.
    body: Option<Incoming>,
    unread: VecDeque<u8>,
    /// How much of `unread` is known to hold no line's end.
    seen: usize,
    query: LogQuery,
}

impl Reader {
    async fn line(&mut self) -> Result<Option<LogLine>, ProviderError> {
        let line = self.next().await;
        if line.is_err() {
            (self.body, self.unread) = (None, VecDeque::new());
        }
        line
    }

    async fn next(&mut self) -> Result<Option<LogLine>, ProviderError> {
        loop {
            while let Some(text) = self.text() {
                if let Some(line) = self.parse(&text)? {
                    return Ok(Some(line));
                }
            }
            if self.unread.len() > LINE_MAX {
                let problem = format!("a line is longer than {LINE_MAX} bytes");
                return Err(ProviderError::backend("read the log", problem));
            }
            let Some(body) = &mut self.body else { return Ok(None) };
            match body.frame().await.transpose() {
                Ok(Some(frame)) => self.unread.extend(frame.data_ref().into_iter().flatten()),
                // The last line may lack its end.
                Ok(None) => {
                    self.body = None;
                    self.unread.push_back(b'\n');
                }
                Err(error) => return Err(ProviderError::backend("read the log to its end", error)),
            }
        }
    }

    /// The next whole line that has come.
    fn text(&mut self) -> Option<Vec<u8>> {
        let found = self.unread.iter().skip(self.seen).position(|byte| *byte == b'\n');
        let Some(length) = found else {
            self.seen = self.unread.len();
            return None;
        };
        let text = self.unread.drain(..=self.seen + length).collect();
        self.seen = 0;
        Some(text)
    }

    /// Nothing for an empty line, and for one of a replica that was not asked for: some servers do not choose.
    fn parse(&self, text: &[u8]) -> Result<Option<LogLine>, ProviderError> {
        if text.trim_ascii().is_empty() {
            return Ok(None);
        }
        let message: LogMessage =
            serde_json::from_slice(text).map_err(|e| ProviderError::backend("read a line of the log", e))?;
        let line = message.into_line(&self.query.function);
        let asked = self.query.instance.as_ref().is_none_or(|instance| *instance == line.instance);
        Ok(asked.then_some(line))
    }
}

#[cfg(test)]
mod tests {
    use model::{FunctionId, Namespace};

    use super::*;

    #[test]
    fn a_query_tells_all_of_it() {
        let function = FunctionId::parse("env", &Namespace::default()).unwrap();
        let all = LogQuery { function, instance: None, tail: None, since: None, follow: false };
        assert_eq!(path(&all), "/system/logs?name=env&tail=-1&follow=0&since=1970-01-01T00:00:00Z");
        let some = LogQuery {
            instance: Some("a&b c/1".into()),
            tail: Some(3),
            since: Some("2026-01-02T03:04:05.5+01:00".parse().unwrap()),
            follow: true,
            ..all
        };
        assert_eq!(
            path(&some),
            "/system/logs?name=env&tail=3&follow=1&since=2026-01-02T02:04:05.5Z&instance=a%26b%20c%2F1"
        );
    }
}
