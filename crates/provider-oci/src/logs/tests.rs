use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::{FutureExt, StreamExt};
use model::{FunctionId, LogLine, LogQuery, Namespace};
use provider::LogStream;
use tokio_util::sync::CancellationToken;

use super::chunk::Cutter;
use super::*;

const BYTES_MAX: u64 = 64 * 1024;

fn id(name: &str) -> FunctionId {
    FunctionId::parse(name, &Namespace::default()).unwrap()
}

fn logs(dir: &Path) -> Logs {
    Logs::open(dir.join("logs"), BYTES_MAX).unwrap()
}

fn write(log: &FunctionLog, instance: &str, text: &str) {
    log.append(instance, &Cutter::default().cut(text.as_bytes()));
}

fn all() -> LogQuery {
    LogQuery { function: id("f"), instance: None, tail: None, since: None, follow: false }
}

async fn open(log: &Arc<FunctionLog>, query: LogQuery) -> LogStream {
    read(Arc::clone(log), query, CancellationToken::new()).await.unwrap()
}

async fn lines(log: &Arc<FunctionLog>, query: LogQuery) -> Vec<LogLine> {
    open(log, query).await.map(Result::unwrap).collect().await
}

async fn texts(log: &Arc<FunctionLog>, query: LogQuery) -> Vec<String> {
    lines(log, query).await.into_iter().map(|line| line.text).collect()
}

fn bytes_on_disk(dir: &Path) -> u64 {
    let files = fs::read_dir(dir.join("logs/openfaas-fn/f")).unwrap().flatten();
    files.map(|file| file.metadata().unwrap().len()).sum()
}

fn numbered(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| format!("line {n:06}")).collect()
}

#[tokio::test]
async fn what_is_written_is_read_by_tail_since_and_instance() {
    let dir = tempfile::tempdir().unwrap();
    let log = logs(dir.path()).of(&id("f"));
    assert!(texts(&log, all()).await.is_empty());
    write(&log, "a", "one\ntwo\n");
    write(&log, "b", "three\n\n");
    let every = lines(&log, all()).await;
    let told: Vec<_> = every.iter().map(|line| (line.instance.as_str(), line.text.as_str())).collect();
    assert_eq!(told, [("a", "one"), ("a", "two"), ("b", "three"), ("b", "")]);
    for tail in 0..6 {
        let expected = &every[every.len().saturating_sub(tail)..];
        assert_eq!(lines(&log, LogQuery { tail: Some(tail), ..all() }).await, expected, "{tail}");
    }
    let since = Some(every[2].timestamp);
    assert_eq!(lines(&log, LogQuery { since, ..all() }).await, every[2..]);
    let of_a = LogQuery { instance: Some("a".into()), tail: Some(1), ..all() };
    assert_eq!(texts(&log, of_a).await, ["two"]);
    // Another platform over the same folder goes on where this one was.
    let log = logs(dir.path()).of(&id("f"));
    write(&log, "c", "four\n");
    assert_eq!(lines(&log, all()).await[..4], every);
    assert_eq!(texts(&log, LogQuery { tail: Some(1), ..all() }).await, ["four"]);
}

#[tokio::test]
async fn the_bound_holds_and_the_newest_stays() {
    let dir = tempfile::tempdir().unwrap();
    let log = logs(dir.path()).of(&id("f"));
    let written = numbered(0..20_000);
    for lines in written.chunks(777) {
        write(&log, "a", &(lines.join("\n") + "\n"));
        assert!(bytes_on_disk(dir.path()) <= BYTES_MAX);
    }
    let kept = texts(&log, all()).await;
    assert!(kept.len() > 1000, "{} are kept", kept.len());
    assert_eq!(kept, written[written.len() - kept.len()..]);
    for tail in [1, 500, kept.len() - 1, kept.len(), 1_000_000] {
        let expected = &kept[kept.len().saturating_sub(tail)..];
        assert_eq!(texts(&log, LogQuery { tail: Some(tail), ..all() }).await, expected, "{tail}");
    }
    // Lines of nothing, and of something that is no text.
    write(&log, "a", &"\n".repeat(100_000));
    assert!(bytes_on_disk(dir.path()) <= BYTES_MAX);
    let mut cutter = Cutter::default();
    log.append("a", &cutter.cut(&[0xff; 200_000]));
    assert!(bytes_on_disk(dir.path()) <= BYTES_MAX);
}

#[tokio::test]
async fn a_reader_that_follows_gets_every_line_and_hears_of_those_it_missed() {
    let dir = tempfile::tempdir().unwrap();
    let log = logs(dir.path()).of(&id("f"));
    let mut stream = open(&log, LogQuery { follow: true, ..all() }).await;
    assert!(stream.next().now_or_never().is_none());
    write(&log, "a", "one\n");
    write(&log, "b", "two\n");
    assert_eq!(stream.next().await.unwrap().unwrap().text, "one");
    assert_eq!(stream.next().await.unwrap().unwrap().text, "two");
    // Far more than is kept while it does not read.
    let written = numbered(0..20_000);
    written.chunks(1000).for_each(|lines| write(&log, "a", &(lines.join("\n") + "\n")));
    let mut read = Vec::new();
    while read.last() != written.last() {
        read.push(stream.next().await.unwrap().unwrap().text);
    }
    let gap = read.iter().position(|text| text.contains("lines are missing here")).unwrap();
    assert!(read[..gap].iter().eq(&written[..gap]), "nothing is missing before");
    let rest = &read[gap + 1..];
    assert_eq!(rest, &written[written.len() - rest.len()..], "nor after");
    // One that reads as it is written misses nothing.
    for text in numbered(0..5000) {
        write(&log, "a", &(text.clone() + "\n"));
        assert_eq!(stream.next().await.unwrap().unwrap().text, text);
    }
    log.remove();
    assert!(stream.next().await.is_none());
    assert!(read_again(&log).await.is_none(), "nobody reads what is gone");
    write(&log, "a", "late\n");
    assert!(!dir.path().join("logs/openfaas-fn/f").exists(), "a line that comes late makes nothing");
}

async fn read_again(log: &Arc<FunctionLog>) -> Option<LogStream> {
    read(Arc::clone(log), all(), CancellationToken::new()).await.ok()
}

#[tokio::test]
async fn a_torn_line_harms_no_other() {
    let dir = tempfile::tempdir().unwrap();
    write(&logs(dir.path()).of(&id("f")), "a", "one\n");
    let file = dir.path().join("logs/openfaas-fn/f/0000000001.log");
    let mut torn = fs::read(&file).unwrap();
    torn.extend_from_slice(b"1700000000000000000 a hal");
    fs::write(&file, torn).unwrap();
    let log = logs(dir.path()).of(&id("f"));
    write(&log, "a", "two\n");
    assert_eq!(texts(&log, all()).await, ["one", "two"]);
}

#[tokio::test]
async fn what_cannot_be_written_is_dropped_until_it_can() {
    let dir = tempfile::tempdir().unwrap();
    let log = logs(dir.path()).of(&id("f"));
    // A file where the folder is to be.
    let folder = dir.path().join("logs/openfaas-fn");
    fs::write(&folder, "").unwrap();
    write(&log, "a", "lost\n");
    fs::remove_file(&folder).unwrap();
    write(&log, "a", "kept\n");
    assert_eq!(texts(&log, all()).await, ["kept"]);
}

#[test]
fn logs_of_functions_that_are_gone_go_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let logs = logs(dir.path());
    for name in ["f", "g", "h.other"] {
        write(&logs.of(&id(name)), "a", "x\n");
    }
    logs.sweep(&[id("f")].into()).unwrap();
    let left: Vec<_> = list(&dir.path().join("logs")).unwrap();
    assert_eq!(left, [dir.path().join("logs/openfaas-fn")]);
    assert_eq!(list(&left[0]).unwrap(), [left[0].join("f")]);
}

#[test]
fn a_function_that_writes_too_fast_waits() {
    let dir = tempfile::tempdir().unwrap();
    let log = logs(dir.path()).of(&id("f"));
    let begun = Instant::now();
    assert!(log.pace(1024 * 1024).is_none(), "a burst is no harm");
    let until = (0..20).map(|_| log.pace(1024 * 1024)).fold(None, |_, until| until).unwrap();
    let wait = until.duration_since(begun);
    assert!(wait > Duration::from_secs(3) && wait < Duration::from_secs(6), "{wait:?}");
}
