//! `docker save`: manifest.json names configurations and layers as files of the archive.

use model::image::{Digest, ImageRef};
use serde::Deserialize;

use super::Found;
use super::files::Files;
use crate::error::ImageError;
use crate::manifest::{CONFIG_OCI, Descriptor, parse_json, write_manifest};
use crate::store::Store;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

pub(super) fn read(store: &Store, files: &Files) -> Result<Vec<Found>, ImageError> {
    let limits = store.limits();
    let items: Vec<Item> = parse_json(&files.read("manifest.json", limits.manifest_max)?, "manifest.json")?;
    if items.is_empty() {
        return Err(ImageError::invalid("archive", "it holds no image"));
    }
    items.into_iter().map(|item| read_item(store, files, item)).collect()
}

fn read_item(store: &Store, files: &Files, item: Item) -> Result<Found, ImageError> {
    let limits = store.limits();
    if item.layers.len() > limits.layers_max {
        let reason = format!("it has {} layers, the most is {}", item.layers.len(), limits.layers_max);
        return Err(ImageError::invalid("archive", reason));
    }
    let names = item.repo_tags.unwrap_or_default();
    let names = names.iter().map(|name| ImageRef::parse(name)).collect::<Result<Vec<_>, _>>()?;
    let bytes = files.read(&item.config, limits.config_max)?;
    let config =
        store.add_blob(&mut &bytes[..], digest_in(&item.config).as_ref(), limits.config_max, &item.config)?;
    let config = Descriptor { digest: config.digest, size: config.size, media_type: CONFIG_OCI.into() };
    let mut layers = Vec::new();
    for name in &item.layers {
        let blob = files.add_blob(store, name, digest_in(name).as_ref())?;
        layers.push(store.layer_descriptor(blob)?);
    }
    let digest = write_manifest(store, &config, &layers)?;
    Ok(Found { digest, names })
}

/// Newer versions name files by their digest: `blobs/sha256/<hex>`, and configurations always: `<hex>.json`.
fn digest_in(name: &str) -> Option<Digest> {
    let hex = name.strip_prefix("blobs/sha256/").or(name.strip_suffix(".json"))?;
    Digest::parse(&format!("sha256:{hex}")).ok()
}
