//! What a function is told of the trace that a call belongs to, and what a tracer is.

use std::sync::{Arc, Mutex};

use gateway::{Config, Exchange, LegKind, Observers, Parent, TraceId, Tracer};
use http::Response;
use provider::{Body, Provider};

use crate::support::{Served, id, running};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// Records what is sampled by its caller, and what none has decided about.
#[derive(Default)]
struct Recorder(Mutex<Vec<Arc<Exchange>>>);

impl Tracer for Recorder {
    fn samples(&self, _: TraceId, parent: Option<&Parent>) -> bool {
        parent.is_none_or(|parent| parent.sampled)
    }

    fn record(&self, exchange: Arc<Exchange>) {
        self.0.lock().expect("whole").push(exchange);
    }
}

impl Recorder {
    fn one(&self) -> Arc<Exchange> {
        let mut recorded = self.0.lock().expect("whole");
        assert_eq!(recorded.len(), 1);
        recorded.remove(0)
    }
}

/// Answers with the trace headers that it gets.
async fn served(tracer: Option<Arc<Recorder>>) -> Served {
    let memory = running(&["a"], |call| {
        Box::pin(async move {
            let shown = |name: &str| -> Vec<String> {
                let values = call.request.headers().get_all(name).iter();
                values.map(|value| value.to_str().unwrap_or("?").to_owned()).collect()
            };
            Ok(Response::new(Body::from(format!("{:?} {:?}", shown("traceparent"), shown("tracestate")))))
        })
    })
    .await;
    memory.scale(&id("a"), 0).await.expect("scale");
    let observers = Observers { access_log: None, tracer: tracer.map(|tracer| tracer as Arc<dyn Tracer>) };
    Served::start(memory, Config { observers, ..Config::default() }).await
}

async fn ask(served: &Served, headers: &str) -> String {
    let request = format!("GET /function/a HTTP/1.1\r\nhost: g\r\nconnection: close\r\n{headers}\r\n");
    served.raw(request).await.split_once("\r\n\r\n").expect("a body").1.to_owned()
}

fn parent(flags: &str) -> String {
    format!("traceparent: 00-{TRACE}-{PARENT}-{flags}\r\ntracestate: a=1\r\ntracestate: b=2\r\n")
}

#[tokio::test]
async fn without_a_tracer_the_context_passes_as_it_is() {
    let served = served(None).await;
    let want = format!("[\"00-{TRACE}-{PARENT}-01\"] [\"a=1\", \"b=2\"]");
    assert_eq!(ask(&served, &parent("01")).await, want);
    assert_eq!(ask(&served, "").await, "[] []");
    assert_eq!(ask(&served, "traceparent: nonsense\r\n").await, "[\"nonsense\"] []");
    served.stop().await;
}

#[tokio::test]
async fn a_recorded_call_is_the_parent_of_what_follows() {
    let recorder = Arc::new(Recorder::default());
    let served = served(Some(Arc::clone(&recorder))).await;
    let seen = ask(&served, &parent("01")).await;
    served.stop().await;
    let exchange = recorder.one();
    let traced = exchange.traced.as_ref().expect("its place");
    assert_eq!(traced.trace.to_string(), TRACE);
    assert_eq!(traced.parent.expect("a parent").span.to_string(), PARENT);
    assert_eq!(traced.state.as_deref(), Some("a=1,b=2"));
    assert_eq!(seen, format!("[\"00-{TRACE}-{}-01\"] [\"a=1\", \"b=2\"]", traced.upstream));
    let kinds: Vec<_> = exchange.legs.iter().map(|leg| &leg.kind).collect();
    assert!(matches!(kinds[..], [LegKind::Activation, LegKind::Upstream { .. }]), "{kinds:?}");
    assert_eq!((exchange.status, exchange.complete), (200, true));
    assert_eq!(exchange.function.as_deref(), Some("a.openfaas-fn"));
}

#[tokio::test]
async fn what_is_not_recorded_says_so() {
    let recorder = Arc::new(Recorder::default());
    let served = served(Some(Arc::clone(&recorder))).await;
    let want = format!("[\"00-{TRACE}-{PARENT}-00\"] [\"a=1\", \"b=2\"]");
    assert_eq!(ask(&served, &parent("00")).await, want);
    // A context that cannot be read is none, and its state belongs to nothing.
    let seen = ask(&served, "traceparent: 00-zz\r\ntracestate: a=1\r\n").await;
    assert!(seen.starts_with("[\"00-") && seen.ends_with("-01\"] []"), "{seen}");
    served.stop().await;
    let exchange = recorder.one();
    assert_eq!(exchange.traced.as_ref().expect("its place").parent, None);
}
