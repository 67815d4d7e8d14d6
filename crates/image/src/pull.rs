//! Pull: what a name means at its registry, brought into the store. What is here already is not transferred.

use std::collections::HashSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use model::image::{Digest, ImageRef};
use oci_spec::image::ImageConfiguration;
use tokio::sync::mpsc::Sender;

use crate::error::ImageError;
use crate::image::Image;
use crate::manifest::{Descriptor, Document, Manifest, choose, diff_ids, parse_config};
use crate::store::{Claim, RefRecord, Session, Store};

mod auth;
mod registry;

pub use auth::docker_config_path;
use registry::Registry;

/// Layers that are transferred at once.
const TRANSFERS: usize = 3;

/// How to pull.
#[derive(Clone, Default)]
pub struct PullOptions {
    /// Registries (`host` or `host:port`) that are spoken to over plain HTTP. Loopback ones always are.
    pub insecure_registries: Vec<String>,
    /// Docker's `config.json` with credentials; a file that is not there means none. See [`docker_config_path`].
    pub docker_config: Option<PathBuf>,
    pub progress: Option<ProgressFn>,
}

/// Is told how a pull goes on; called from several threads, must not block.
pub type ProgressFn = Arc<dyn Fn(&Progress) + Send + Sync>;

/// A step of a pull.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// The manifest is known: so many layers, so many bytes of those have to be fetched.
    Resolved { layers: usize, bytes: u64 },
    /// `received` of `total` bytes of a layer are here.
    Fetching { layer: Digest, received: u64, total: u64 },
    /// All layers are here and are being unpacked.
    Unpacking,
}

/// What a pull transferred.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PullReport {
    pub layers_fetched: usize,
    pub layers_present: usize,
    /// Of layers, as transferred.
    pub bytes: u64,
}

/// An image and what it took to get it.
#[derive(Debug, Clone)]
pub struct Pulled {
    pub image: Image,
    pub report: PullReport,
}

impl fmt::Debug for PullOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PullOptions")
            .field("insecure_registries", &self.insecure_registries)
            .field("docker_config", &self.docker_config)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// Asks the registry what `reference` means now, and fetches what is not here. A pull that fails or is dropped
    /// changes no name.
    pub async fn pull(&self, reference: &ImageRef, options: &PullOptions) -> Result<Pulled, ImageError> {
        let timeout = self.limits().pull_timeout;
        let (writes, mut ended) = tokio::sync::mpsc::channel(1);
        let result = tokio::time::timeout(timeout, self.pull_now(reference, options, writes)).await;
        let result = result.unwrap_or_else(|_| {
            Err(ImageError::Timeout { image: reference.clone(), seconds: timeout.as_secs() })
        });
        if result.is_err() {
            // Transfers beside the one that failed were dropped; their files go with their writers.
            let _ = ended.recv().await;
            let store = self.clone();
            blocking(move || {
                store.discard_failed();
                Ok(())
            })
            .await?;
        }
        result
    }

    /// What the registry says that `reference` means now, told within `patience`. Fetches manifests alone.
    pub async fn ask(
        &self,
        reference: &ImageRef,
        options: &PullOptions,
        patience: Duration,
    ) -> Result<Digest, ImageError> {
        let asking = async {
            let (writes, _) = tokio::sync::mpsc::channel(1);
            let registry = Registry::connect(reference, options, self.limits(), writes).await?;
            self.find(&registry, reference).await.map(|found| found.digest)
        };
        tokio::time::timeout(patience, asking).await.unwrap_or_else(|_| {
            Err(ImageError::Timeout { image: reference.clone(), seconds: patience.as_secs() })
        })
    }

    async fn pull_now(
        &self,
        reference: &ImageRef,
        options: &PullOptions,
        writes: Sender<()>,
    ) -> Result<Pulled, ImageError> {
        let registry = Registry::connect(reference, options, self.limits(), writes).await?;
        let found = self.find(&registry, reference).await?;
        let store = self.clone();
        let session = blocking(move || store.session()).await?;
        let config = self.fetch_config(&registry, &found).await?;
        let report = self.fetch_layers(&registry, &found.manifest, &config, options).await?;
        options.tell(&Progress::Unpacking);
        let (store, reference) = (self.clone(), reference.clone());
        let image = blocking(move || store.settle(&session, &reference, found)).await?;
        Ok(Pulled { image, report })
    }

    /// Follows a name to the manifest for this host.
    async fn find(&self, registry: &Registry, reference: &ImageRef) -> Result<Found, ImageError> {
        let limits = self.limits();
        let bytes = registry.manifest(reference.digest()).await?;
        let digest = crate::store::blob::sha256(&bytes);
        match Document::parse(&bytes, limits)? {
            Document::Manifest(manifest) => Ok(Found { digest, bytes, manifest, index: None }),
            Document::Index(index) => {
                let chosen = choose(&index, &reference.to_string())?.digest;
                let bytes = registry.manifest(Some(&chosen)).await?;
                let manifest = Manifest::parse(&bytes, limits)?;
                Ok(Found { digest: chosen, bytes, manifest, index: Some(digest) })
            }
        }
    }

    async fn fetch_config(
        &self,
        registry: &Registry,
        found: &Found,
    ) -> Result<ImageConfiguration, ImageError> {
        let (digest, max) = (found.manifest.config.digest.clone(), self.limits().config_max);
        if !self.has_blob(&digest) {
            self.fetch_blob(registry, &found.manifest.config, max, &|_| ()).await?;
        }
        let (store, manifest) = (self.clone(), found.manifest.clone());
        blocking(move || parse_config(&store.read_blob(&digest, max)?, &manifest)).await
    }

    async fn fetch_layers(
        &self,
        registry: &Registry,
        manifest: &Manifest,
        config: &ImageConfiguration,
        options: &PullOptions,
    ) -> Result<PullReport, ImageError> {
        let mut seen = HashSet::new();
        let (mut missing, mut present) = (Vec::new(), 0);
        for (layer, diff_id) in manifest.layers.iter().zip(diff_ids(config)?) {
            if self.has_blob(&layer.digest) || self.has_layer(&diff_id) {
                present += 1;
            } else if seen.insert(&layer.digest) {
                missing.push(layer.clone());
            }
        }
        let bytes = missing.iter().fold(0u64, |sum, layer| sum.saturating_add(layer.size));
        options.tell(&Progress::Resolved { layers: manifest.layers.len(), bytes });
        let report = PullReport { layers_fetched: 0, layers_present: present, bytes: 0 };
        stream::iter(missing)
            .map(|layer| self.fetch_layer(registry, layer, options))
            .buffer_unordered(TRANSFERS)
            .try_fold(report, |mut report, fetched| async move {
                match fetched {
                    0 => report.layers_present += 1,
                    bytes => {
                        report.layers_fetched += 1;
                        report.bytes += bytes;
                    }
                }
                Ok(report)
            })
            .await
    }

    /// Returns the bytes that were transferred; none when another pull was faster.
    async fn fetch_layer(
        &self,
        registry: &Registry,
        layer: Descriptor,
        options: &PullOptions,
    ) -> Result<u64, ImageError> {
        let (tmp, name) = (self.path("tmp"), format!("fetch-{}", layer.digest.hex()));
        let _claim = blocking(move || Claim::acquire(&tmp, &name)).await?;
        if self.has_blob(&layer.digest) {
            return Ok(0);
        }
        let tell = |received| {
            let (layer, total) = (layer.digest.clone(), layer.size);
            options.tell(&Progress::Fetching { layer, received, total });
        };
        self.fetch_blob(registry, &layer, self.limits().blob_max, &tell).await
    }

    /// Streams a blob into the store; it is verified before it gets its name.
    async fn fetch_blob(
        &self,
        registry: &Registry,
        blob: &Descriptor,
        max: u64,
        tell: &(dyn Fn(u64) + Sync),
    ) -> Result<u64, ImageError> {
        let mut body = registry.blob(&blob.digest).await?;
        let (store, expected, max) = (self.clone(), blob.digest.clone(), max.min(blob.size));
        let (sender, mut receiver) = tokio::sync::mpsc::channel::<bytes::Bytes>(8);
        let token = registry.writes.clone();
        let writer = tokio::task::spawn_blocking(move || {
            let _token = token;
            let mut writer = store.blob_writer(max, &format!("blob {expected}"))?;
            let mut is_whole = false;
            while let Some(bytes) = receiver.blocking_recv() {
                is_whole = bytes.is_empty();
                writer.write(&bytes)?;
            }
            // Without the mark at the end the transfer was given up.
            match is_whole {
                true => writer.finish(Some(&expected)),
                false => Err(ImageError::Stopped),
            }
        });
        let mut received = 0;
        loop {
            match body.chunk().await.map_err(|error| registry.unreachable(error))? {
                Some(bytes) if bytes.is_empty() => {}
                Some(bytes) => {
                    received += bytes.len() as u64;
                    tell(received);
                    if sender.send(bytes).await.is_err() {
                        break;
                    }
                }
                None => {
                    let _ = sender.send(bytes::Bytes::new()).await;
                    break;
                }
            }
        }
        drop(sender);
        writer.await.map_err(|_| ImageError::Stopped)??;
        Ok(received)
    }

    fn settle(&self, session: &Session, reference: &ImageRef, found: Found) -> Result<Image, ImageError> {
        let max = self.limits().manifest_max;
        self.add_blob(&mut &found.bytes[..], Some(&found.digest), max, "manifest")?;
        let image = self.load(session, reference, &found.digest)?;
        let Found { digest, index, .. } = found;
        self.write_ref(&RefRecord { reference: reference.clone(), digest, index, pulled: true })?;
        Ok(image)
    }
}

impl PullOptions {
    fn tell(&self, progress: &Progress) {
        if let Some(tell) = &self.progress {
            tell(progress);
        }
    }
}

struct Found {
    digest: Digest,
    bytes: Vec<u8>,
    manifest: Manifest,
    index: Option<Digest>,
}

/// Runs what waits for the disk or for a lock where it may.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ImageError> + Send + 'static,
) -> Result<T, ImageError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| ImageError::Stopped)?
}
