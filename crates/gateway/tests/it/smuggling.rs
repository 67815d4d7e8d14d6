//! Requests and answers that want to be read differently by two readers: `tests/smuggling/*.txt`.
//!
//! After each case a call is sent over the client's connection if that is still open, and over a new one: both must get
//! their own answer, and the function must have got exactly what the case says.

use std::fmt::Write as _;
use std::sync::Arc;

use gateway::Config;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::recorder::{PROBE, Recorder, Told};
use crate::script::{Case, Script, scripts};
use crate::support::{Served, deployed};
use crate::wire::{Fault, Message, Wire};

const CASES_MIN: usize = 40;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_read_in_two_ways() {
    let scripts = scripts("smuggling");
    let cases: usize = scripts.iter().map(|script| script.cases.len()).sum();
    assert!(cases >= CASES_MIN, "{cases}");
    let mut wrong = String::new();
    for script in &scripts {
        wrong += &play(script).await;
    }
    assert!(wrong.is_empty(), "{wrong}");
    println!("{cases} cases");
}

/// What is wrong, case by case.
async fn play(script: &Script) -> String {
    let recorder = Recorder::start().await;
    let memory = deployed(recorder.memory(), &["f"]).await;
    let config = Config { head_max: 128 * 1024, ..Config::default() };
    let served = Served::start(Arc::clone(&memory) as _, config).await;
    let mut wrong = String::new();
    for case in &script.cases {
        let (wants, gets) = (wanted(case), tried(case, &served, &recorder).await);
        let pending = case.text("pending:");
        let told = match (wants == gets, pending) {
            (true, None) => continue,
            (true, Some(_)) => "it is no longer pending: take the mark away".to_owned(),
            (false, Some(why)) => {
                println!("pending: {}: {}: {why}", script.name(), case.name);
                continue;
            }
            (false, None) => format!("wanted:\n{wants}got:\n{gets}"),
        };
        let _ = write!(wrong, "\n{}: {}\n{told}", script.name(), case.name);
    }
    served.stop().await;
    wrong
}

/// What the case says, in the words of [`report_seen`].
pub fn wanted(case: &Case) -> String {
    let client = case.text("client:").expect("what the client sees");
    let mut text = format!("client: {client}\n");
    for function in case.texts("function:") {
        let _ = writeln!(text, "function: {function}");
    }
    text
}

async fn tried(case: &Case, served: &Served, recorder: &Recorder) -> String {
    recorder.take();
    let told = case.bytes("F>").map(|answer| Told {
        answer,
        later: case.bytes("F+").unwrap_or_default(),
        close: case.text("close:").is_some(),
    });
    let later = told.as_ref().is_some_and(|told| !told.later.is_empty());
    recorder.tell(told);
    let request = case.bytes("C>").expect("what the client sends");
    let want = case.text("client:").expect("what the client sees");
    let mut client = Wire::new(TcpStream::connect(served.api).await.expect("connect"));
    // Refused early, it may be closed before it has taken everything.
    let _ = client.stream.write_all(&request).await;
    if case.text("end:").is_some() {
        let _ = client.stream.shutdown().await;
    }
    let method = if request.starts_with(b"HEAD ") { "HEAD" } else { "GET" };
    let mut answers = Vec::new();
    let mut ending = String::from("open");
    let answered = want.split(' ').filter(|word| !matches!(*word, "open" | "closed")).count();
    for _ in 0..answered {
        match client.response(method).await {
            Ok(answer) => answers.push(answer),
            Err(fault) => {
                ending = broken(&fault);
                break;
            }
        }
    }
    if ending == "open" && later {
        recorder.go_on().await;
        // An answer over the same connection shows that its thread has looked at its sockets since.
        let _ = client.stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: g\r\n\r\n").await;
        let _ = client.response("GET").await;
    }
    if ending == "open" && want.ends_with("open") {
        ending = probe(&mut client).await.unwrap_or_else(|fault| broken(&fault));
    } else if ending == "open" {
        ending = match client.ends().await {
            Ok(()) => "closed".into(),
            Err(Fault::Late) => "open".into(),
            Err(fault) => broken(&fault),
        };
    }
    let mut other = Wire::new(TcpStream::connect(served.api).await.expect("connect"));
    let after = probe(&mut other).await.unwrap_or_else(|fault| broken(&fault));
    report(case, &answers, &ending, &after, recorder)
}

/// One call that must be answered as if nothing had been before it.
async fn probe(client: &mut Wire) -> Result<String, Fault> {
    let request = format!("GET /function/f{PROBE} HTTP/1.1\r\nHost: probe\r\n\r\n");
    let _ = client.stream.write_all(request.as_bytes()).await;
    let answer = client.response("GET").await?;
    let right = answer.status() == 200 && answer.body == format!("GET {PROBE} ").as_bytes();
    Ok(if right { "open".into() } else { format!("POISONED {}", shown(&answer)) })
}

fn report(case: &Case, answers: &[Message], ending: &str, after: &str, recorder: &Recorder) -> String {
    let mut text = String::from("client: ");
    for answer in answers {
        let _ = write!(text, "{} ", answer.status());
    }
    let _ = writeln!(text, "{ending}");
    if after != "open" {
        let _ = writeln!(text, "after: {after}");
    }
    text += &report_seen(case, &recorder.take(), answers);
    for words in case.texts("answer:") {
        if !answers.iter().any(|answer| String::from_utf8_lossy(&answer.body).contains(words)) {
            let _ = writeln!(text, "no answer says {words:?}");
        }
    }
    text
}

/// What reached the function, and what of it, and of the answers, should not be there.
pub fn report_seen(case: &Case, seen: &[Result<Message, Fault>], answers: &[Message]) -> String {
    let mut text = String::new();
    for seen in seen.iter().filter(|seen| !is_probe(seen)) {
        let line = match seen {
            Ok(message) => shown(message),
            // Begun, and told to be broken: no request to act upon.
            Err(Fault::Cut(_)) => continue,
            Err(fault) => format!("MALFORMED {fault:?}"),
        };
        let _ = writeln!(text, "function: {line}");
    }
    let messages: Vec<&Message> = answers.iter().chain(seen.iter().flatten()).collect();
    for name in case.texts("lacks:") {
        for message in messages.iter().filter(|message| message.header(name).is_some()) {
            let _ = writeln!(text, "with {name}: {}", shown(message));
        }
    }
    for pair in case.texts("has:") {
        let (name, value) = pair.split_once(' ').expect("a name and a value");
        if !seen.iter().flatten().any(|message| message.header(name) == Some(value)) {
            let _ = writeln!(text, "without {pair}");
        }
    }
    text
}

fn is_probe(seen: &Result<Message, Fault>) -> bool {
    matches!(seen, Ok(message) if message.first == format!("GET {PROBE} HTTP/1.1") && message.body.is_empty())
}

fn shown(message: &Message) -> String {
    let first = message.first.trim_end_matches(" HTTP/1.1");
    let body = message.body.escape_ascii().to_string();
    format!("{first} {}", body.chars().take(80).collect::<String>()).trim_end().to_owned()
}

fn broken(fault: &Fault) -> String {
    match fault {
        Fault::End => "closed".into(),
        Fault::Cut(_) => "cut".into(),
        Fault::Late => "NOTHING MORE CAME".into(),
        Fault::Malformed(what) => format!("MALFORMED {what:?}"),
    }
}
