//! The images that a Dockerfile begins from or copies from: built in, in the store, or at a registry.

use std::collections::BTreeMap;

use model::image::ImageRef;

use super::dockerfile::Plan;
use super::{BuildError, BuildOptions, BuiltinImage};
use crate::error::ImageError;
use crate::image::Image;
use crate::pull::blocking;
use crate::store::Store;

pub(super) enum Source {
    Builtin(BuiltinImage),
    Image(Box<Image>),
}

pub(super) async fn resolve(
    store: &Store,
    plan: &Plan,
    options: &BuildOptions,
) -> Result<BTreeMap<ImageRef, Source>, ImageError> {
    let mut sources = BTreeMap::new();
    for (image, line) in plan.images() {
        let source = resolve_one(store, image, options).await;
        let source = source.map_err(|source| BuildError::Failed { line, source: Box::new(source) })?;
        sources.insert(image.clone(), source);
    }
    Ok(sources)
}

async fn resolve_one(store: &Store, image: &ImageRef, options: &BuildOptions) -> Result<Source, ImageError> {
    for (name, builtin) in &options.builtin {
        let name = ImageRef::parse(name)?;
        if name.registry() == image.registry() && name.repository() == image.repository() {
            return Ok(Source::Builtin(builtin.clone()));
        }
    }
    let here = {
        let (store, image) = (store.clone(), image.clone());
        blocking(move || store.resolve(&image)).await?
    };
    match here {
        Some(image) => Ok(Source::Image(Box::new(image))),
        None => Ok(Source::Image(Box::new(store.pull(image, &options.pull).await?.image))),
    }
}
