//! Archives and images made by the tests themselves.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tar::{EntryType, Header};

/// One entry of a layer; the name is written as it is, however bad.
#[derive(Clone)]
pub struct Entry {
    pub name: Vec<u8>,
    pub kind: EntryType,
    pub content: Vec<u8>,
    pub link: Vec<u8>,
    pub mode: u32,
    pub uid: u64,
    pub mtime: u64,
    pub device: (u32, u32),
    /// What the header says of the size, when it is not the truth.
    pub size: Option<u64>,
}

pub fn entry(name: &str, kind: EntryType) -> Entry {
    let mode = if kind == EntryType::Directory { 0o755 } else { 0o644 };
    let (content, link) = (Vec::new(), Vec::new());
    Entry {
        name: name.into(),
        kind,
        content,
        link,
        mode,
        uid: 0,
        mtime: 1_000_000,
        device: (1, 3),
        size: None,
    }
}

pub fn file(name: &str, content: impl AsRef<[u8]>) -> Entry {
    Entry { content: content.as_ref().to_vec(), ..entry(name, EntryType::Regular) }
}

pub fn dir(name: &str) -> Entry {
    entry(name, EntryType::Directory)
}

pub fn link(name: &str, kind: EntryType, target: &str) -> Entry {
    Entry { link: target.into(), ..entry(name, kind) }
}

pub fn symlink(name: &str, target: &str) -> Entry {
    link(name, EntryType::Symlink, target)
}

impl Entry {
    pub fn write(&self, out: &mut Vec<u8>) {
        for (bytes, kind, max) in [(&self.name, b'L', 100), (&self.link, b'K', 100)] {
            if bytes.len() > max {
                let content = [bytes.as_slice(), &[0]].concat();
                block(out, &header(b"././@LongLink", EntryType::new(kind), content.len() as u64), &content);
            }
        }
        let size = self.size.unwrap_or(self.content.len() as u64);
        let mut header = header(&self.name, self.kind, size);
        header.set_mode(self.mode);
        header.set_uid(self.uid);
        header.set_gid(self.uid);
        header.set_mtime(self.mtime);
        header.set_device_major(self.device.0).unwrap();
        header.set_device_minor(self.device.1).unwrap();
        let link = &mut header.as_old_mut().linkname;
        let count = self.link.len().min(100);
        link[..count].copy_from_slice(&self.link[..count]);
        header.set_cksum();
        block(out, &header, &self.content);
    }
}

fn header(name: &[u8], kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_gnu();
    let count = name.len().min(100);
    header.as_old_mut().name[..count].copy_from_slice(&name[..count]);
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_cksum();
    header
}

fn block(out: &mut Vec<u8>, header: &Header, content: &[u8]) {
    out.extend(header.as_bytes());
    out.extend(content);
    out.resize(out.len().next_multiple_of(512), 0);
}

/// A pax header with one record, to stand before an entry.
pub fn pax(key: &str, value: &[u8]) -> Entry {
    let mut length = key.len() + value.len() + 3;
    length += length.to_string().len();
    if length.to_string().len() + key.len() + value.len() + 3 != length {
        length += 1;
    }
    let record = [format!("{length} {key}=").as_bytes(), value, b"\n"].concat();
    Entry { content: record, ..entry("PaxHeaders/x", EntryType::XHeader) }
}

pub fn tar(entries: &[Entry]) -> Vec<u8> {
    let mut out = Vec::new();
    entries.iter().for_each(|entry| entry.write(&mut out));
    out.resize(out.len() + 1024, 0);
    out
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(bytes))
}

/// A configuration for layers given without compression.
pub fn config(layers: &[Vec<u8>]) -> Vec<u8> {
    config_with(layers, json!({"Cmd": ["/bin/app"], "Env": ["A=b"], "Labels": null}))
}

pub fn config_with(layers: &[Vec<u8>], run: Value) -> Vec<u8> {
    let architecture = oci_spec::image::Arch::default().to_string();
    let diff_ids: Vec<_> = layers.iter().map(|layer| digest(layer)).collect();
    let config = json!({
        "architecture": architecture, "os": "linux", "created": "2024-01-02T03:04:05Z", "config": run,
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    serde_json::to_vec(&config).unwrap()
}

/// As `docker save` writes it.
pub fn docker_save(tags: &[&str], layers: &[Vec<u8>]) -> Vec<u8> {
    let config = config(layers);
    let config_name = format!("{}.json", hex(&config));
    let names: Vec<_> = (0..layers.len()).map(|i| format!("layer{i}/layer.tar")).collect();
    let manifest = json!([{"Config": config_name, "RepoTags": tags, "Layers": names}]);
    let mut entries = vec![file(&config_name, &config)];
    for (name, layer) in names.iter().zip(layers) {
        entries.push(dir(name.rsplit_once('/').unwrap().0));
        entries.push(file(name, layer));
    }
    entries.push(file("manifest.json", manifest.to_string()));
    tar(&entries)
}

/// An OCI layout, by file name. Each layer is given without and with its compression.
pub fn oci_layout(name: Option<&str>, layers: &[(Vec<u8>, Vec<u8>)]) -> BTreeMap<String, Vec<u8>> {
    let plain: Vec<_> = layers.iter().map(|(plain, _)| plain.clone()).collect();
    let config = config(&plain);
    let layer = |blob: &Vec<u8>| json!({"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": digest(blob), "size": blob.len()});
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(&config), "size": config.len()},
        "layers": layers.iter().map(|(_, blob)| layer(blob)).collect::<Vec<_>>(),
    });
    let manifest = serde_json::to_vec(&manifest).unwrap();
    let annotations = match name {
        Some(name) => json!({"org.opencontainers.image.ref.name": name}),
        None => json!({}),
    };
    let index = json!({"schemaVersion": 2, "manifests": [{
        "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest(&manifest), "size": manifest.len(),
        "annotations": annotations,
    }]});
    let mut files = BTreeMap::from([
        ("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
        ("index.json".to_owned(), serde_json::to_vec(&index).unwrap()),
    ]);
    for blob in layers.iter().map(|(_, blob)| blob.clone()).chain([config, manifest]) {
        files.insert(format!("blobs/sha256/{}", hex(&blob)), blob);
    }
    files
}

pub fn write_files(dir: &Path, files: &BTreeMap<String, Vec<u8>>) {
    for (name, content) in files {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
}

pub fn tar_files(files: &BTreeMap<String, Vec<u8>>) -> Vec<u8> {
    tar(&files.iter().map(|(name, content)| file(name, content)).collect::<Vec<_>>())
}

/// An error with all its causes in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text += &format!(": {error}");
        source = error.source();
    }
    text
}

/// Everything below a directory, sorted, with a mark for what it is.
pub fn tree(dir: &Path) -> Vec<String> {
    fn walk(base: &Path, dir: &Path, out: &mut Vec<String>) {
        use std::os::unix::fs::FileTypeExt;
        for entry in std::fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            let path = entry.path();
            let shown = path.strip_prefix(base).unwrap().display().to_string();
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                out.push(format!("{shown}/"));
                walk(base, &path, out);
            } else if kind.is_symlink() {
                out.push(format!("{shown} -> {}", std::fs::read_link(&path).unwrap().display()));
            } else if kind.is_char_device() {
                out.push(format!("{shown} whiteout"));
            } else if kind.is_fifo() {
                out.push(format!("{shown} fifo"));
            } else {
                out.push(shown);
            }
        }
    }
    let mut out = Vec::new();
    walk(dir, dir, &mut out);
    out.sort();
    out
}

/// What a store with nothing in it looks like; the lock file may or may not have been needed yet.
pub fn assert_empty(store: &image::Store) {
    let left: Vec<_> = tree(store.dir()).into_iter().filter(|name| name != "lock").collect();
    let expected = ["blobs/", "blobs/sha256/", "l/", "l/empty/", "layers/", "manifests/", "refs/", "tmp/"];
    assert_eq!(left, expected);
}
