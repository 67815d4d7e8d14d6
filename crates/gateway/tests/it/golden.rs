//! What the contract promises, exchange by exchange: `tests/golden/*.txt`, and how to add one in the README there.

mod render;
mod setup;

use std::fmt::Write as _;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::recorder::Told;
use crate::script::{Case, Script, scripts};
use crate::support::in_time;
use crate::wire::Fault;
use render::rendered;
use setup::Stage;

/// Writes what is there in place of comparing it.
const BLESS: &str = "MINKE_BLESS";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_contract_promises_is_kept() {
    let bless = std::env::var_os(BLESS).is_some_and(|value| value == "1");
    let (mut wrong, mut count) = (String::new(), 0);
    for script in scripts("golden") {
        let stage = Stage::set(&script).await;
        let mut written = script.head();
        for case in &script.cases {
            let got = Exchanged::of(case, &stage).await;
            wrong += &got.differs(&script, case);
            let _ = write!(written, "\n=== {}\n{}", case.name, got.written(case));
            count += 1;
        }
        stage.end().await;
        if bless {
            std::fs::write(&script.path, written).expect("a file");
        }
    }
    assert!(bless || wrong.is_empty(), "{wrong}");
    println!("{count} exchanges");
}

/// What came of it, in lines as the file has them.
struct Exchanged {
    function: Vec<String>,
    client: Vec<String>,
}

impl Exchanged {
    async fn of(case: &Case, stage: &Stage) -> Self {
        let recorder = &stage.recorder;
        recorder.take();
        let close = case.text("close:").is_some();
        recorder.tell(case.bytes("F>").map(|answer| Told { answer, close, ..Told::default() }));
        let request = case.bytes("C>").expect("what the client sends");
        let answer = exchange(stage.served.api, &request).await;
        let mut function = Vec::new();
        for seen in recorder.take() {
            match seen {
                Ok(message) => function.extend(rendered(&message.raw)),
                Err(Fault::Cut(first)) => function.push(format!("{{cut}} {first}")),
                Err(fault) => function.push(format!("{{malformed}} {fault:?}")),
            }
        }
        Self { function, client: rendered(&answer) }
    }

    fn differs(&self, script: &Script, case: &Case) -> String {
        let mut text = String::new();
        for (key, got) in [("F<", &self.function), ("C<", &self.client)] {
            let want = case.texts(key);
            if want != got.iter().map(String::as_str).collect::<Vec<_>>() {
                let _ = write!(
                    text,
                    "\n{}: {}: {key}\nwanted:\n  {}\ngot:\n  {}\n",
                    script.name(),
                    case.name,
                    want.join("\n  "),
                    got.join("\n  ")
                );
            }
        }
        text
    }

    fn written(&self, case: &Case) -> String {
        let mut text = String::new();
        for line in case.lines.iter().filter(|line| !matches!(&*line.key, "F<" | "C<")) {
            let _ = match &*line.key {
                "" if line.text.is_empty() => continue,
                "" => writeln!(text, "{}", line.text),
                key => writeln!(text, "{}", format!("{key} {}", line.text).trim_end()),
            };
        }
        for (key, lines) in [("F<", &self.function), ("C<", &self.client)] {
            for line in lines {
                let _ = writeln!(text, "{}", format!("{key} {line}").trim_end());
            }
        }
        text
    }
}

async fn exchange(address: SocketAddr, request: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.expect("connect");
    // A server that refuses early may close before it has taken everything.
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    let _ = in_time(stream.read_to_end(&mut answer)).await;
    answer
}
