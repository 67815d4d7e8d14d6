//! What HTTP/2 can say and HTTP/1.1 cannot: `tests/smuggling/http2/*.txt`.

use std::fmt::Write as _;
use std::sync::Arc;

use gateway::Config;
use tokio::net::TcpStream;

use crate::h2_wire::{Ended, H2Wire};
use crate::recorder::{PROBE, Recorder};
use crate::script::{Case, scripts, unescaped};
use crate::smuggling::{report_seen, wanted};
use crate::support::{Served, deployed};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_comes_out_of_http2_as_two_requests() {
    let recorder = Recorder::start().await;
    let memory = deployed(recorder.memory(), &["f"]).await;
    let served = Served::start(Arc::clone(&memory) as _, Config::default()).await;
    let (mut wrong, mut count) = (String::new(), 0);
    for script in scripts("smuggling/http2") {
        for case in &script.cases {
            count += 1;
            let (wants, gets) = (wanted(case), tried(case, &served, &recorder).await);
            if wants != gets {
                let _ = write!(wrong, "\n{}\nwanted:\n{wants}got:\n{gets}", case.name);
            }
        }
    }
    served.stop().await;
    assert!(wrong.is_empty(), "{wrong}");
    println!("{count} cases");
}

async fn tried(case: &Case, served: &Served, recorder: &Recorder) -> String {
    recorder.take();
    let connect = async || H2Wire::new(TcpStream::connect(served.api).await.expect("connect")).await;
    let mut client = connect().await;
    let ended = client.ask(&fields(case, "H>"), case.bytes("D>").as_deref(), &fields(case, "T>")).await;
    let mut text = match &ended {
        Ended::Answered { status, .. } => format!("client: {status}\n"),
        Ended::Reset => "client: reset\n".into(),
        Ended::Closed => "client: closed\n".into(),
    };
    // The next calls over the same connection, and over a new one, are answered as they should be.
    let mut other = connect().await;
    for (name, wire) in [("same", &mut client), ("new", &mut other)] {
        let probed = probe(wire).await;
        let is_over = name == "same" && ended == Ended::Closed && probed == Ended::Closed;
        if !is_over && !is_right(&probed) {
            let _ = writeln!(text, "POISONED on the {name} connection: {probed:?}");
        }
    }
    text + &report_seen(case, &recorder.take(), &[])
}

async fn probe(wire: &mut H2Wire) -> Ended {
    let path = format!("/function/f{PROBE}");
    let head = [(":method", "GET"), (":scheme", "http"), (":authority", "probe"), (":path", &path)];
    wire.ask(&head.map(|(name, value)| (name.into(), value.into())), None, &[]).await
}

fn is_right(probed: &Ended) -> bool {
    matches!(probed, Ended::Answered { status: 200, body } if *body == format!("GET {PROBE} ").as_bytes())
}

fn fields(case: &Case, key: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let pair = |text: &str| {
        let (name, value) = text.split_once(' ').expect("a name and a value");
        (unescaped(name), unescaped(value))
    };
    case.texts(key).into_iter().map(pair).collect()
}
