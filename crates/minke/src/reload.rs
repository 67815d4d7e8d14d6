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
    let files = config.tls.as_ref().and_then(|tls| tls.files.clone());
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_broken_pair_changes_nothing_and_is_told_once() {
        let dir = tempfile::tempdir().unwrap();
        let files = CertificateFiles { certificate: dir.path().join("c"), key: dir.path().join("k") };
        let made = || rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
        let (old, new) = (made(), made());
        fs::write(&files.certificate, old.cert.pem()).unwrap();
        fs::write(&files.key, old.signing_key.serialize_pem()).unwrap();
        let certificates = Arc::new(Certificates::default());
        let served = |certificates: &Certificates| certificates.now(None).map(|now| now.cert[0].clone());
        let mut watch = PairWatch { files, certificates, seen: None, problem: None };
        watch.look();
        assert_eq!(served(&watch.certificates).as_ref(), Some(old.cert.der()));
        fs::write(&watch.files.certificate, new.cert.pem()).unwrap();
        watch.look();
        assert_eq!(
            served(&watch.certificates).as_ref(),
            Some(old.cert.der()),
            "the key is still the old one"
        );
        assert!(watch.problem.as_ref().is_some_and(|problem| problem.contains("not that of the first")));
        fs::write(&watch.files.key, new.signing_key.serialize_pem()).unwrap();
        watch.look();
        assert_eq!(served(&watch.certificates).as_ref(), Some(new.cert.der()));
        assert_eq!(watch.problem, None);
        fs::remove_file(&watch.files.key).unwrap();
        watch.look();
        assert_eq!(served(&watch.certificates).as_ref(), Some(new.cert.der()), "no file is no change");
    }

    #[test]
    fn a_map_is_read_anew_and_a_mistake_is_no_map() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("minke.yaml");
        let mut watch = MapWatch {
            file: file.clone(),
            namespace: Namespace::default(),
            domains: Domains::default(),
            served: Vec::new(),
            problem: None,
        };
        watch.look();
        assert_eq!((watch.served.len(), &watch.problem), (0, &None), "there is no file");
        fs::write(&file, "domains: [{host: a.example, function: f}]\n").unwrap();
        watch.look();
        assert_eq!((watch.served.len(), &watch.problem), (1, &None));
        for wrong in [
            "domains: [{host: a b, function: f}]\n",
            "domains: [{host: a.example, function: F}]\n",
            "domians: []\n",
        ] {
            fs::write(&file, wrong).unwrap();
            watch.look();
            assert!(watch.served.len() == 1 && watch.problem.is_some(), "{wrong}");
        }
        fs::remove_file(&file).unwrap();
        watch.look();
        assert_eq!(watch.served.len(), 1, "no file is no change");
        fs::write(&file, "log: info\n").unwrap();
        watch.look();
        assert_eq!((watch.served.len(), &watch.problem), (0, &None));
    }
}
