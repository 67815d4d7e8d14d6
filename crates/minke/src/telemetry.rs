//! Who is told of each request: the access log, and the collector of traces.

#[cfg(feature = "otlp")]
mod otlp;
mod settings;
#[cfg(feature = "otlp")]
mod spans;

use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use gateway::{AccessLog, Collect, Collectors, Observers};

use crate::config::Config;
use crate::error::Failure;

pub use settings::Settings;

/// How long the end of the platform waits for the last lines and spans to be taken.
const FLUSH_MAX: Duration = Duration::from_secs(5);

#[derive(Default)]
pub struct Telemetry {
    access_log: Option<AccessLog>,
    #[cfg(feature = "otlp")]
    traces: Option<Arc<otlp::Traces>>,
}

impl Telemetry {
    /// On a runtime, whose task sends the spans.
    pub fn start(config: &Config) -> Result<Self, Failure> {
        #[cfg(not(feature = "otlp"))]
        if config.telemetry.is_some() {
            tracing::warn!("this build sends no traces: it was built without the feature `otlp`");
        }
        Ok(Self {
            access_log: access_log(config)?,
            #[cfg(feature = "otlp")]
            traces: match &config.telemetry {
                Some(settings) => {
                    Some(Arc::new(otlp::Traces::start(settings, &crate::wiring::version().release)?))
                }
                None => None,
            },
        })
    }

    pub fn observers(&self) -> Observers {
        Observers {
            access_log: self.access_log.clone(),
            #[cfg(feature = "otlp")]
            tracer: self.traces.clone().map(|traces| traces as Arc<dyn gateway::Tracer>),
            #[cfg(not(feature = "otlp"))]
            tracer: None,
        }
    }

    /// What they count for the metrics page.
    pub fn collectors(&self) -> Collectors {
        let log = self.access_log.clone().map(|log| Arc::new(log) as Arc<dyn Collect>);
        let all = log.into_iter();
        #[cfg(feature = "otlp")]
        let all = all.chain(self.traces.clone().map(|traces| traces as Arc<dyn Collect>));
        Collectors(all.collect())
    }

    /// Writes and sends what is left; to be called when nothing more is served.
    pub async fn finish(self) {
        if let Some(log) = self.access_log {
            let _ = tokio::task::spawn_blocking(move || log.flush(FLUSH_MAX)).await;
        }
        #[cfg(feature = "otlp")]
        if let Some(traces) = self.traces {
            traces.finish(FLUSH_MAX).await;
        }
    }
}

fn access_log(config: &Config) -> Result<Option<AccessLog>, Failure> {
    let Some(format) = config.access_log else { return Ok(None) };
    let out: Box<dyn Write + Send> = match &config.access_log_file {
        Some(path) => {
            let file = File::options().create(true).append(true).open(path).map_err(|error| {
                Failure::usage(format_args!(
                    "failed to open the access log {}: {error}; choose another with --access-log-file",
                    path.display()
                ))
            })?;
            Box::new(file)
        }
        None => Box::new(io::stderr()),
    };
    AccessLog::start(format, out).map(Some).map_err(|error| anyhow::Error::from(error).into())
}
