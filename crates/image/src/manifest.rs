//! Manifests, indexes and configurations of OCI and Docker, read strictly.

use model::image::Digest;
use oci_spec::image::{Arch, ImageConfiguration, ImageIndex, ImageManifest, MediaType, Os};

use crate::error::ImageError;
use crate::limits::Limits;
use crate::store::Store;

pub(crate) const MANIFEST_OCI: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const CONFIG_OCI: &str = "application/vnd.oci.image.config.v1+json";

/// What an image is made of.
#[derive(Debug, Clone)]
pub(crate) struct Manifest {
    pub config: Descriptor,
    /// Lowest first.
    pub layers: Vec<Descriptor>,
}

/// A blob as a manifest names it. What a layer is compressed with is read from its bytes, not from here.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    pub digest: Digest,
    pub size: u64,
    pub media_type: String,
}

/// What a name or a digest leads to.
#[derive(Debug)]
pub(crate) enum Document {
    Manifest(Manifest),
    Index(Box<ImageIndex>),
}

impl Document {
    pub(crate) fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, ImageError> {
        let value: serde_json::Value = parse_json(bytes, "manifest")?;
        // A document that can be read as both says different things to different readers (CVE-2021-41190).
        match (value.get("manifests").is_some(), value.get("layers").is_some()) {
            (true, false) => Ok(Self::Index(Box::new(parse_json(bytes, "image index")?))),
            (false, true) => Manifest::parse(bytes, limits).map(Self::Manifest),
            (true, true) => Err(ImageError::invalid("manifest", "it is both an index and a manifest")),
            (false, false) if value.get("fsLayers").is_some() => Err(ImageError::unsupported(
                "manifest",
                "it has schema version 1; push the image again with a newer tool",
            )),
            (false, false) => Err(ImageError::invalid("manifest", "it is neither an index nor a manifest")),
        }
    }
}

impl Manifest {
    pub(crate) fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, ImageError> {
        let manifest: ImageManifest = parse_json(bytes, "manifest")?;
        if manifest.schema_version() != 2 {
            let reason = format!("it has schema version {}, expected 2", manifest.schema_version());
            return Err(ImageError::unsupported("manifest", reason));
        }
        let count = manifest.layers().len();
        if count > limits.layers_max {
            let reason = format!("it has {count} layers, the most is {}", limits.layers_max);
            return Err(ImageError::invalid("manifest", reason));
        }
        let config = Descriptor::from_spec(manifest.config())?;
        if config.size > limits.config_max {
            return Err(ImageError::TooLarge { what: "image configuration".into(), max: limits.config_max });
        }
        let layers = manifest.layers().iter().map(Descriptor::from_spec).collect::<Result<Vec<_>, _>>()?;
        for layer in &layers {
            check_layer(layer, limits)?;
        }
        Ok(Self { config, layers })
    }

    /// Bytes as transferred.
    pub(crate) fn size(&self) -> u64 {
        self.layers.iter().fold(self.config.size, |sum, layer| sum.saturating_add(layer.size))
    }
}

impl Descriptor {
    fn from_spec(descriptor: &oci_spec::image::Descriptor) -> Result<Self, ImageError> {
        let digest = Digest::parse(descriptor.digest().as_ref())?;
        Ok(Self { digest, size: descriptor.size(), media_type: descriptor.media_type().to_string() })
    }
}

impl Store {
    pub(crate) fn read_config(&self, manifest: &Manifest) -> Result<ImageConfiguration, ImageError> {
        let bytes = self.read_blob(&manifest.config.digest, self.limits().config_max)?;
        parse_config(&bytes, manifest)
    }
}

/// Reads a configuration, and checks that it belongs to the manifest and to this host.
pub(crate) fn parse_config(bytes: &[u8], manifest: &Manifest) -> Result<ImageConfiguration, ImageError> {
    // Docker writes null where the OCI specification knows absence only.
    let mut value: serde_json::Value = parse_json(bytes, "image configuration")?;
    drop_nulls(&mut value);
    let config: ImageConfiguration = serde_json::from_value(value)
        .map_err(|error| ImageError::invalid("image configuration", error.to_string()))?;
    let (layers, diff_ids) = (manifest.layers.len(), config.rootfs().diff_ids().len());
    if layers != diff_ids {
        let reason = format!("it names {diff_ids} layers where the manifest has {layers}");
        return Err(ImageError::invalid("image configuration", reason));
    }
    if !is_for_host(config.os(), config.architecture()) {
        let offered = format!("{}/{}", config.os(), config.architecture());
        return Err(ImageError::Platform { image: "image".into(), wanted: host_platform(), offered });
    }
    Ok(config)
}

/// The digests of the unpacked layers, lowest first.
pub(crate) fn diff_ids(config: &ImageConfiguration) -> Result<Vec<Digest>, ImageError> {
    config.rootfs().diff_ids().iter().map(|id| Ok(Digest::parse(id)?)).collect()
}

/// The entry of an index that is for Linux on this machine's architecture.
pub(crate) fn choose(index: &ImageIndex, image: &str) -> Result<Descriptor, ImageError> {
    let fits = |descriptor: &&oci_spec::image::Descriptor| match descriptor.platform() {
        Some(platform) => is_for_host(platform.os(), platform.architecture()),
        None => index.manifests().len() == 1,
    };
    match index.manifests().iter().find(fits) {
        Some(descriptor) => Descriptor::from_spec(descriptor),
        None => {
            let names = index.manifests().iter().filter_map(|descriptor| descriptor.platform().as_ref());
            let offered: Vec<_> =
                names.map(|p| format!("{}/{}", p.os(), p.architecture())).take(20).collect();
            let offered = if offered.is_empty() { "no platform".to_owned() } else { offered.join(", ") };
            Err(ImageError::Platform { image: image.to_owned(), wanted: host_platform(), offered })
        }
    }
}

pub(crate) fn host_platform() -> String {
    format!("{}/{}", Os::Linux, Arch::default())
}

pub(crate) fn parse_json<T: serde::de::DeserializeOwned>(bytes: &[u8], what: &str) -> Result<T, ImageError> {
    serde_json::from_slice(bytes).map_err(|error| ImageError::invalid(what, error.to_string()))
}

fn is_for_host(os: &Os, architecture: &Arch) -> bool {
    *os == Os::Linux && *architecture == Arch::default()
}

fn check_layer(layer: &Descriptor, limits: &Limits) -> Result<(), ImageError> {
    let is_tar = match MediaType::from(layer.media_type.as_str()) {
        MediaType::ImageLayer
        | MediaType::ImageLayerGzip
        | MediaType::ImageLayerZstd
        | MediaType::ImageLayerNonDistributable
        | MediaType::ImageLayerNonDistributableGzip
        | MediaType::ImageLayerNonDistributableZstd => true,
        MediaType::Other(name) => name.starts_with("application/vnd.docker.image.rootfs."),
        _ => false,
    };
    if !is_tar {
        let what = format!("layer of type {:?}", layer.media_type);
        return Err(ImageError::unsupported(what, "expected a tar archive; this is no container image"));
    }
    if layer.size > limits.blob_max {
        return Err(ImageError::TooLarge { what: format!("layer {}", layer.digest), max: limits.blob_max });
    }
    Ok(())
}

pub(crate) fn drop_nulls(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// Writes the manifest of an image that came without one. The same content gives the same bytes.
pub(crate) fn write_manifest(
    store: &Store,
    config: &Descriptor,
    layers: &[Descriptor],
) -> Result<Digest, ImageError> {
    #[derive(serde::Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Written<'a> {
        schema_version: u8,
        media_type: &'static str,
        config: &'a Descriptor,
        layers: &'a [Descriptor],
    }
    let manifest = Written { schema_version: 2, media_type: MANIFEST_OCI, config, layers };
    let bytes =
        serde_json::to_vec(&manifest).map_err(|error| ImageError::invalid("manifest", error.to_string()))?;
    Ok(store.add_blob(&mut &bytes[..], None, store.limits().manifest_max, "manifest")?.digest)
}
