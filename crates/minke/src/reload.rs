//! What changes while the platform runs: certificates, and the map of hosts to functions.
//!
//! Files are read again every few seconds, and on SIGHUP at once. Reading tells of a change however it was made: folders
//! that are exchanged by a link, as Kubernetes does with secrets, look to no file like a write.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gateway::{DomainRule, Domains};
use model::Namespace;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::task::AbortOnDropHandle;

use crate::config::{Config, ConfigError, domains};
use crate::error::{Failure, chain};
use crate::tls::files::Pair;
use crate::tls::{CertificateFiles, Certificates};

const EVERY: Duration = Duration::from_secs(2);

/// Puts the map in force, and watches over it and the certificate's files for as long as the handle lives.
pub fn spawn(
    config: &Config,
    certificates: Option<&Arc<Certificates>>,
    domains: &Domains,
) -> Result<AbortOnDropHandle<()>, Failure> {
    domains.replace(config.domains.clone()).map_err(Failure::usage)?;
    let files = config.tls.as_ref().map(|tls| tls.files.clone());
    let mut watch = Watch {
        pair: files.zip(certificates.cloned()).map(|(files, certificates)| {
            // What was read at the start is read again at once: it may have changed since.
            PairWatch { files, certificates, seen: None, problem: None }
        }),
        map: MapWatch {
            file: config.file.clone(),
            namespace: config.namespace.clone(),
            domains: domains.clone(),
            served: config.domains.clone(),
            problem: None,
        },
    };
    // Where there is nothing to read anew, a terminal that closes ends the platform, as it ends every program.
    let mut hangup = if watch.pair.is_some() || watch.map.file.exists() {
        Some(signal(SignalKind::hangup()).map_err(anyhow::Error::from)?)
    } else {
        None
    };
    let task = async move {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                Some(()) = async { hangup.as_mut()?.recv().await } => tracing::info!("reading certificates and domains anew"),
            }
            let looked = tokio::task::spawn_blocking(move || {
                watch.look();
                watch
            });
            match looked.await {
                Ok(looked) => watch = looked,
                Err(error) => return tracing::error!(%error, "certificates and domains are watched no more"),
            }
        }
    };
    Ok(AbortOnDropHandle::new(tokio::spawn(task)))
}

struct Watch {
    pair: Option<PairWatch>,
    map: MapWatch,
}

impl Watch {
    fn look(&mut self) {
        if let Some(pair) = &mut self.pair {
            pair.look();
        }
        self.map.look();
    }
}

struct PairWatch {
    files: CertificateFiles,
    certificates: Arc<Certificates>,
    /// What was tried last, whether it could be used or not.
    seen: Option<Pair>,
    /// What was said last, so that it is said once.
    problem: Option<String>,
}

impl PairWatch {
    fn look(&mut self) {
        let pair = match self.files.read() {
            Ok(pair) if self.seen.as_ref() == Some(&pair) => return,
            Ok(pair) => pair,
            Err(error) => return complain(&mut self.problem, "certificate", &chain(&error).to_string()),
        };
        let first = self.seen.is_none();
        let certified = pair.certified(&self.files);
        self.seen = Some(pair);
        match certified {
            Ok(certified) => {
                let changed = self.certificates.replace(certified);
                self.problem = None;
                if changed && !first {
                    let certificate = self.files.certificate.display();
                    tracing::info!(%certificate, "a new certificate is served");
                    self.files.warn_of_readers();
                }
            }
            Err(error) => complain(&mut self.problem, "certificate", &chain(&error).to_string()),
        }
    }
}

struct MapWatch {
    file: PathBuf,
    namespace: Namespace,
    domains: Domains,
    served: Vec<DomainRule>,
    problem: Option<String>,
}

impl MapWatch {
    fn look(&mut self) {
        match domains::load(&self.file, &self.namespace) {
            Ok(rules) if rules == self.served => self.problem = None,
            Ok(rules) => match self.domains.replace(rules.clone()) {
                Ok(()) => {
                    tracing::info!(rules = rules.len(), "a new map of domains is in force");
                    self.served = rules;
                    self.problem = None;
                }
                Err(error) => complain(&mut self.problem, "map of domains", &error.to_string()),
            },
            // A file that was never there has nothing to say.
            Err(ConfigError::File { .. }) if self.served.is_empty() && !self.file.exists() => {}
            Err(error) => complain(&mut self.problem, "map of domains", &error.to_string()),
        }
    }
}

fn complain(last: &mut Option<String>, what: &str, problem: &str) {
    if last.as_deref() != Some(problem) {
        tracing::error!(
            problem,
            "the {what} that was served until now stays, for the new one cannot be used"
        );
        *last = Some(problem.to_owned());
    }
}
