//! Logs: the lines that functions write, once each, in order, while they are written and later.

use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use http::Request;
use model::{FunctionId, LogLine, LogQuery};
use tokio::time::{Instant, sleep, timeout};

use crate::{Body, LogStream, ProviderError};

use super::Subject;

super::suite![
    a_missing_function_is_not_found,
    a_line_comes_as_it_was_written,
    tail_since_and_instance_choose,
    a_reader_that_follows_gets_what_is_yet_to_come,
    a_new_function_has_no_old_lines,
];

/// How often the log is looked at until a line is there.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

async fn a_missing_function_is_not_found(subject: Subject) {
    for follow in [false, true] {
        let query = LogQuery { follow, ..all(&subject.id("conf-nobody")) };
        let error = subject.provider.logs(query).await.err().expect("nobody is there");
        assert!(matches!(error, ProviderError::NotFound { .. }), "{error:?}");
    }
}

async fn a_line_comes_as_it_was_written(subject: Subject) {
    let id = subject.deployed(subject.spec("conf-log")).await;
    let text = r#"a "quoted" \ line, 100%  <&> end"#;
    let line = subject.written(&id, text).await;
    assert_eq!((&line.function, line.text.as_str()), (&id, text));
    assert!(!line.instance.is_empty());
    assert!(line.timestamp.as_second() > 1_600_000_000, "{line:?}");
    let again = subject.read(all(&id)).await;
    assert_eq!(again.iter().filter(|other| other.text == line.text).collect::<Vec<_>>(), [&line]);
    subject.remove(&id).await;
}

async fn tail_since_and_instance_choose(subject: Subject) {
    let id = subject.deployed(subject.spec("conf-choose")).await;
    let mut written = Vec::new();
    for n in 1..=4 {
        written.push(subject.written(&id, &format!("line {n}")).await);
    }
    assert!(written.is_sorted_by_key(|line| line.timestamp), "{written:?}");
    let every = subject.read(all(&id)).await;
    assert_eq!(ours(&every), ["line 1", "line 2", "line 3", "line 4"]);

    assert_eq!(ours(&subject.read(LogQuery { tail: Some(2), ..all(&id) }).await), ["line 3", "line 4"]);
    assert_eq!(subject.read(LogQuery { tail: Some(1000), ..all(&id) }).await, every);
    let since = written[2].timestamp;
    let later = subject.read(LogQuery { since: Some(since), ..all(&id) }).await;
    let want: Vec<_> = every.iter().filter(|line| line.timestamp >= since).cloned().collect();
    assert_eq!(later, want);
    assert!(ours(&later).contains(&"line 3"), "from then on, that very instant included");
    let both = LogQuery { since: Some(since), tail: Some(1), ..all(&id) };
    assert_eq!(ours(&subject.read(both).await), ["line 4"]);

    let instance = written[3].instance.clone();
    let of_one = subject.read(LogQuery { instance: Some(instance), tail: Some(1), ..all(&id) }).await;
    assert_eq!(of_one, [written[3].clone()]);
    let of_none = subject.read(LogQuery { instance: Some("no-such-instance".into()), ..all(&id) }).await;
    assert_eq!(of_none, []);
    subject.remove(&id).await;
}

async fn a_reader_that_follows_gets_what_is_yet_to_come(subject: Subject) {
    let id = subject.deployed(subject.spec("conf-follow")).await;
    subject.written(&id, "line before").await;
    let mut lines = subject.provider.logs(LogQuery { follow: true, ..all(&id) }).await.expect("logs");
    assert_eq!(subject.next(&mut lines).await.as_deref(), Some("line before"));
    for n in 1..=3 {
        subject.write(&id, &format!("line {n}")).await;
        assert_eq!(subject.next(&mut lines).await, Some(format!("line {n}")));
    }
    // Also of replicas that were not there yet.
    subject.provider.scale(&id, 0).await.expect("scale");
    subject.until(&id, "nothing is left", |status| status.available == 0).await;
    subject.provider.scale(&id, 1).await.expect("scale");
    subject.until(&id, "a new replica takes calls", |status| status.available == 1).await;
    subject.write(&id, "line of the new one").await;
    assert_eq!(subject.next(&mut lines).await.as_deref(), Some("line of the new one"));
    assert!(lines.next().now_or_never().is_none(), "it waits for more");
    subject.remove(&id).await;
    assert_eq!(subject.next(&mut lines).await, None, "the function is gone, and its log with it");
}

async fn a_new_function_has_no_old_lines(subject: Subject) {
    for n in 1..=2 {
        let id = subject.deployed(subject.spec("conf-again")).await;
        subject.written(&id, &format!("line of life {n}")).await;
        let lines = subject.read(all(&id)).await;
        assert_eq!(ours(&lines), [format!("line of life {n}")]);
        subject.remove(&id).await;
    }
}

impl Subject {
    /// Lets a replica of the function write a line.
    async fn write(&self, id: &FunctionId, text: &str) {
        let request = Request::builder().header("x-echo-log", text).body(Body::Empty).expect("request");
        assert_eq!(self.call(id, request).await.status(), 200);
    }

    /// The same, and waits until it is in the log: what a function writes takes its way there.
    async fn written(&self, id: &FunctionId, text: &str) -> LogLine {
        self.write(id, text).await;
        let deadline = Instant::now() + self.patience;
        loop {
            let lines = self.read(all(id)).await;
            if let Some(line) = lines.iter().find(|line| line.text == text) {
                return line.clone();
            }
            assert!(
                Instant::now() < deadline,
                "waited {:?} for {text:?} in the log: {lines:?}",
                self.patience
            );
            sleep(LOOK_INTERVAL).await;
        }
    }

    /// All lines that the query asks for; it must not ask to follow.
    async fn read(&self, query: LogQuery) -> Vec<LogLine> {
        let lines = self.provider.logs(query).await.expect("logs");
        let lines = timeout(self.patience, lines.collect::<Vec<_>>()).await.expect("the log ends");
        lines.into_iter().map(|line| line.expect("a line")).collect()
    }

    /// The next line of these checks; what else a function writes is passed over.
    async fn next(&self, lines: &mut LogStream) -> Option<String> {
        let next = async {
            loop {
                match lines.next().await {
                    Some(line) if !is_ours(&line.as_ref().expect("a line").text) => {}
                    line => return line.map(|line| line.expect("a line").text),
                }
            }
        };
        timeout(self.patience, next).await.expect("a line, or the end")
    }
}

fn all(id: &FunctionId) -> LogQuery {
    LogQuery { function: id.clone(), instance: None, tail: None, since: None, follow: false }
}

fn ours(lines: &[LogLine]) -> Vec<&str> {
    lines.iter().map(|line| line.text.as_str()).filter(|text| is_ours(text)).collect()
}

fn is_ours(text: &str) -> bool {
    text.starts_with("line ")
}
