//! The content-addressed store below `<data-dir>/images`, shared by every process of this host that opens it.
//!
//! ```text
//! blobs/sha256/<hex>   manifests, configurations and layers as transferred
//! refs/<hex>           a name and the manifest it means
//! manifests/<hex>      an image that is here; locked (shared) by whoever uses it
//! layers/<diff id>/    a layer unpacked, ready to be a lower directory of an overlay
//! l/<12 hex>           short link to it, because mount options end at one page
//! tmp/                 work under way, see [`claim`]
//! lock                 shared by those who add, exclusive for the moment of collecting garbage
//! ```
//! Everything gets its final name by a rename when it is whole, so a kill at any instant leaves only
//! things in `tmp` and things that no name leads to; [`Store::sweep`] removes both.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::image::{Digest, ImageRef};
use rustix::fs::FlockOperation;

use crate::error::{ImageError, IoContext};
use crate::image::{Image, ImageEntry, Pin};
use crate::limits::Limits;
use crate::manifest::Manifest;

pub(crate) mod blob;
mod claim;
mod collect;
mod layer;
mod refs;
mod unsynced;

pub(crate) use claim::Claim;
pub use collect::{RemoveReport, SweepReport};
pub(crate) use refs::RefRecord;

/// A handle to the store; cheap to clone, safe to use from many threads and processes.
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    limits: Limits,
}

/// While one lives, nothing is collected: blobs may wait for the name that will lead to them.
#[derive(Debug)]
pub(crate) struct Session {
    _lock: File,
}

impl Store {
    /// Opens the store in `dir`, making it when it is not there, and sweeps its temporary files.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, ImageError> {
        Self::open_with(dir, Limits::default())
    }

    pub fn open_with(dir: impl Into<PathBuf>, limits: Limits) -> Result<Self, ImageError> {
        let dir = dir.into();
        create_dir(&dir)?;
        let dir = fs::canonicalize(&dir).at("resolve", &dir)?;
        for name in ["blobs/sha256", "refs", "manifests", "layers", "l", "l/empty", "tmp"] {
            create_dir(&dir.join(name))?;
        }
        let empty = dir.join("l/empty");
        fs::set_permissions(&empty, fs::Permissions::from_mode(0o755)).at("set the mode of", &empty)?;
        let store = Self { inner: Arc::new(Inner { dir, limits }) };
        Claim::sweep(&store.path("tmp"))?;
        Ok(store)
    }

    pub fn dir(&self) -> &Path {
        &self.inner.dir
    }

    pub fn limits(&self) -> &Limits {
        &self.inner.limits
    }

    /// The image that `reference` means, when it is here; its layers are unpacked and stay so while it lives.
    /// By digest also an image is found that has lost its name and is still in use.
    pub fn resolve(&self, reference: &ImageRef) -> Result<Option<Image>, ImageError> {
        let session = self.session()?;
        match self.read_ref(reference)? {
            Some(record) => self.load(&session, reference, &record.digest).map(Some),
            None => match reference.digest().filter(|digest| self.has_image(digest)) {
                Some(digest) => self.load(&session, reference, digest).map(Some),
                None => Ok(None),
            },
        }
    }

    /// All named images, sorted by name. One whose content is damaged is listed without its size.
    pub fn list(&self) -> Result<Vec<ImageEntry>, ImageError> {
        let _session = self.session()?;
        let entry = |record: RefRecord| {
            let manifest = self.read_manifest(&record.digest);
            let config = manifest.as_ref().ok().and_then(|manifest| self.read_config(manifest).ok());
            let created = config.and_then(|config| config.created().as_ref()?.parse().ok());
            let size = manifest.map(|manifest| manifest.size()).ok();
            ImageEntry { reference: record.reference, digest: record.digest, size, created }
        };
        Ok(self.read_refs()?.into_iter().map(entry).collect())
    }

    /// Gives another name to an image that is here.
    pub fn tag(&self, image: &Image, reference: &ImageRef) -> Result<(), ImageError> {
        self.name(&self.session()?, reference, &image.digest, None)
    }

    /// Holds off the collection of garbage; take it before the first blob, keep it until the name is written.
    pub(crate) fn session(&self) -> Result<Session, ImageError> {
        Ok(Session { _lock: self.lock("lock", FlockOperation::LockShared)? })
    }

    /// The last step of every addition: the name appears when everything behind it is there.
    pub(crate) fn name(
        &self,
        _session: &Session,
        reference: &ImageRef,
        digest: &Digest,
        index: Option<Digest>,
    ) -> Result<(), ImageError> {
        let (reference, digest) = (reference.clone(), digest.clone());
        self.write_ref(&RefRecord { reference, digest, index, pulled: false })
    }

    /// An image without a name yet; it lives as long as the value does.
    pub(crate) fn load(
        &self,
        _session: &Session,
        reference: &ImageRef,
        digest: &Digest,
    ) -> Result<Image, ImageError> {
        let manifest = self.read_manifest(digest)?;
        let config = self.read_config(&manifest)?;
        let layer_dirs = self.ensure_layers(&manifest, &config)?;
        let pin = self.pin(digest)?;
        Ok(Image {
            reference: reference.clone(),
            digest: digest.clone(),
            config,
            layer_dirs,
            store_dir: self.dir().to_owned(),
            _pin: Arc::new(pin),
        })
    }

    pub(crate) fn read_manifest(&self, digest: &Digest) -> Result<Manifest, ImageError> {
        Manifest::parse(&self.read_blob(digest, self.limits().manifest_max)?, self.limits())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.inner.dir.join(name)
    }

    fn has_image(&self, digest: &Digest) -> bool {
        self.path("manifests").join(digest.hex()).is_file()
    }

    fn pin(&self, digest: &Digest) -> Result<Pin, ImageError> {
        let name = format!("manifests/{}", digest.hex());
        Ok(Pin { _lock: self.lock(&name, FlockOperation::LockShared)? })
    }

    fn lock(&self, name: &str, operation: FlockOperation) -> Result<File, ImageError> {
        let path = self.path(name);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .at("open", &path)?;
        claim::flock_retry(&file, operation).at("lock", &path)?;
        Ok(file)
    }
}

/// A rename is on disk when its directory is.
pub(crate) fn sync_dir(path: &Path) -> Result<(), ImageError> {
    File::open(path).and_then(|dir| dir.sync_all()).at("sync", path)
}

fn create_dir(path: &Path) -> Result<(), ImageError> {
    let result = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    match result {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error).at("create", path),
        _ => Ok(()),
    }
}
