//! Spans on their way to a collector: OTLP over HTTP, in batches.
//!
//! The standard crate encodes and sends; the queue is ours, because its own tells nobody how much it has dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gateway::{Collect, Collected, Exchange, Parent, TraceId, Tracer};
use opentelemetry::KeyValue;
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanExporter as _;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};

use super::settings::{Sampling, Settings};
use super::spans;
use crate::error::Failure;

/// Calls that have ended and are not sent yet.
const QUEUE_MAX: usize = 2048;
/// Calls in one request to the collector, and how long the first of them waits for others.
const BATCH_MAX: usize = 512;
const BATCH_AGE: Duration = Duration::from_secs(2);
/// A collector that is slower than this has failed.
const SEND_MAX: Duration = Duration::from_secs(10);

pub struct Traces {
    sampling: Sampling,
    queue: mpsc::Sender<Entry>,
    counts: Arc<Counts>,
}

enum Entry {
    Exchange(Arc<Exchange>),
    /// Everything before it is to be sent, and whoever waits to be told.
    Flush(oneshot::Sender<()>),
}

#[derive(Default)]
struct Counts {
    exported: AtomicU64,
    dropped: AtomicU64,
}

impl Traces {
    pub fn start(settings: &Settings, version: &str) -> Result<Self, Failure> {
        let failed = |error: &dyn std::fmt::Display| {
            Failure::usage(format_args!("traces cannot be sent to {}: {error}", settings.endpoint))
        };
        // Fails when the program has chosen a provider already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .user_agent(concat!("minke/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(SEND_MAX)
            .timeout(SEND_MAX)
            .build()
            .map_err(|error| failed(&error))?;
        let mut exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_endpoint(&settings.endpoint)
            .with_headers(settings.headers.clone().into_iter().collect())
            .with_timeout(SEND_MAX)
            .build()
            .map_err(|error| failed(&error))?;
        let resource =
            settings.resource.iter().map(|(name, value)| KeyValue::new(name.clone(), value.clone()));
        let resource = Resource::builder_empty()
            .with_attribute(KeyValue::new("service.version", version.to_owned()))
            .with_attributes(resource)
            .with_service_name(settings.service_name.clone());
        exporter.set_resource(&resource.build());
        let (queue, entries) = mpsc::channel(QUEUE_MAX);
        let counts = Arc::new(Counts::default());
        let sender = Sender { exporter, counts: Arc::clone(&counts), failing: false };
        tokio::spawn(sender.run(entries));
        Ok(Self { sampling: settings.sampling, queue, counts })
    }

    /// Until all that has ended is sent, or `patience` is over.
    pub async fn finish(&self, patience: Duration) {
        let flush = async {
            let (told, flushed) = oneshot::channel();
            if self.queue.send(Entry::Flush(told)).await.is_ok() {
                let _ = flushed.await;
            }
        };
        if timeout(patience, flush).await.is_err() {
            tracing::warn!("the last traces are not sent: the collector is too slow");
        }
    }
}

impl Tracer for Traces {
    fn samples(&self, trace: TraceId, parent: Option<&Parent>) -> bool {
        let [.., a, b, c, d, e, f, g, h] = trace.to_bytes();
        let bits = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
        self.sampling.takes(bits, parent.map(|parent| parent.sampled))
    }

    fn record(&self, exchange: Arc<Exchange>) {
        if self.queue.try_send(Entry::Exchange(exchange)).is_err() {
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Collect for Traces {
    fn collect(&self, page: &mut Collected<'_>) {
        let Counts { exported, dropped } = &*self.counts;
        page.counter(
            "minke_traces_exported_total",
            "Calls whose spans the collector took.",
            exported.load(Ordering::Relaxed),
        );
        page.counter(
            "minke_traces_dropped_total",
            "Calls whose spans were not sent: too many at once, or the collector failed.",
            dropped.load(Ordering::Relaxed),
        );
    }
}

struct Sender {
    exporter: SpanExporter,
    counts: Arc<Counts>,
    /// It is told once that the collector fails, and once that it no longer does.
    failing: bool,
}

impl Sender {
    /// Until nobody is left who could record.
    async fn run(mut self, mut entries: mpsc::Receiver<Entry>) {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        let mut sent_at = Instant::now();
        loop {
            let entry = match batch.is_empty() {
                true => entries.recv().await,
                false => match timeout_at(sent_at, entries.recv()).await {
                    Ok(entry) => entry,
                    Err(_) => {
                        self.send(&mut batch).await;
                        continue;
                    }
                },
            };
            match entry {
                Some(Entry::Exchange(exchange)) => {
                    if batch.is_empty() {
                        sent_at = Instant::now() + BATCH_AGE;
                    }
                    batch.push(exchange);
                    if batch.len() == BATCH_MAX {
                        self.send(&mut batch).await;
                    }
                }
                Some(Entry::Flush(told)) => {
                    self.send(&mut batch).await;
                    let _ = told.send(());
                }
                None => return self.send(&mut batch).await,
            }
        }
    }

    async fn send(&mut self, batch: &mut Vec<Arc<Exchange>>) {
        let calls = batch.len() as u64;
        let spans: Vec<_> = batch.drain(..).flat_map(|exchange| spans::of(&exchange)).collect();
        if spans.is_empty() {
            return;
        }
        let outcome = match timeout(SEND_MAX, self.exporter.export(spans)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("it took too long".to_owned()),
        };
        let counter = if outcome.is_ok() { &self.counts.exported } else { &self.counts.dropped };
        counter.fetch_add(calls, Ordering::Relaxed);
        match (&outcome, self.failing) {
            (Err(error), false) => {
                tracing::warn!(%error, "the collector of traces fails; traces are dropped")
            }
            (Ok(()), true) => tracing::info!("the collector of traces is back"),
            _ => {}
        }
        self.failing = outcome.is_err();
    }
}
