//! The OCI image layout: `oci-layout`, `index.json` and `blobs/sha256/<hex>`.

use model::image::{Digest, ImageRef};
use oci_spec::image::ImageIndex;

use super::Found;
use super::files::Files;
use crate::error::ImageError;
use crate::manifest::{Descriptor, Document, choose, parse_json};
use crate::store::Store;

/// The whole name, as containerd and Docker write it; the specification's own annotation is often but a tag.
const NAME_CONTAINERD: &str = "io.containerd.image.name";
const NAME_OCI: &str = "org.opencontainers.image.ref.name";

pub(super) fn read(store: &Store, files: &Files) -> Result<Vec<Found>, ImageError> {
    let limits = store.limits();
    let index: ImageIndex = parse_json(&files.read("index.json", limits.manifest_max)?, "index.json")?;
    let mut found: Vec<Found> = Vec::new();
    let fits = |descriptor: &&oci_spec::image::Descriptor| {
        index.manifests().len() == 1 || descriptor.platform().is_none() || is_chosen(&index, descriptor)
    };
    for descriptor in index.manifests().iter().filter(fits) {
        let digest = read_manifest(store, files, &Digest::parse(descriptor.digest().as_ref())?)?;
        let name = name_of(descriptor)?;
        // One image under several names is listed once per name.
        match found.iter_mut().find(|image| image.digest == digest) {
            Some(image) => image.names.extend(name),
            None => found.push(Found { digest, names: name.into_iter().collect() }),
        }
    }
    match found.is_empty() {
        true => Err(ImageError::invalid("archive", "it holds no image")),
        false => Ok(found),
    }
}

fn is_chosen(index: &ImageIndex, descriptor: &oci_spec::image::Descriptor) -> bool {
    choose(index, "image").is_ok_and(|chosen| chosen.digest.to_string() == descriptor.digest().to_string())
}

/// Brings the manifest for this host and its blobs into the store.
fn read_manifest(store: &Store, files: &Files, digest: &Digest) -> Result<Digest, ImageError> {
    let limits = store.limits();
    let mut digest = digest.clone();
    // An entry may be an index itself; no tool nests deeper.
    for _ in 0..2 {
        let bytes = files.read(&blob_name(&digest), limits.manifest_max)?;
        store.add_blob(&mut &bytes[..], Some(&digest), limits.manifest_max, "manifest")?;
        match Document::parse(&bytes, limits)? {
            Document::Index(index) => digest = choose(&index, "archive")?.digest,
            Document::Manifest(manifest) => {
                for blob in manifest.layers.iter().chain([&manifest.config]) {
                    read_blob(store, files, blob)?;
                }
                return Ok(digest);
            }
        }
    }
    Err(ImageError::invalid("archive", "its indexes are nested too deeply"))
}

fn read_blob(store: &Store, files: &Files, blob: &Descriptor) -> Result<(), ImageError> {
    let info = files.add_blob(store, &blob_name(&blob.digest), Some(&blob.digest))?;
    match info.size == blob.size {
        true => Ok(()),
        false => Err(ImageError::Corrupt {
            what: format!("blob {}", blob.digest),
            expected: format!("{} bytes", blob.size),
            actual: format!("{} bytes", info.size),
        }),
    }
}

fn name_of(descriptor: &oci_spec::image::Descriptor) -> Result<Option<ImageRef>, ImageError> {
    let Some(annotations) = descriptor.annotations() else { return Ok(None) };
    if let Some(name) = annotations.get(NAME_CONTAINERD) {
        return Ok(Some(ImageRef::parse(name)?));
    }
    match annotations.get(NAME_OCI) {
        Some(name) if name.contains(['/', ':']) => Ok(Some(ImageRef::parse(name)?)),
        _ => Ok(None),
    }
}

fn blob_name(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}
