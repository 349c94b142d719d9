//! Archives as the tests want them, right and wrong: layers entry by entry, OCI layouts and docker archives part by part.

use std::fmt::Write as _;
use std::io::Write as _;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// `sha256:<hex>` of these bytes.
pub(crate) fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold("sha256:".to_owned(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes everything");
        text
    })
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(bytes, 1).unwrap()
}

/// A layer's tar, entry by entry; nothing is checked, so that it can be wrong. Owner 0:0 and a fixed time, unless said.
pub(crate) struct Layer(Vec<u8>);

const TIME: u64 = 1_700_000_000;

impl Layer {
    pub(crate) fn new() -> Layer {
        Layer(Vec::new())
    }

    pub(crate) fn dir(self, path: &str, mode: u32) -> Layer {
        self.entry(path, b'5', "", b"", |header| header.set_mode(mode))
    }

    pub(crate) fn file(self, path: &str, content: impl AsRef<[u8]>) -> Layer {
        self.entry(path, b'0', "", content.as_ref(), |_| {})
    }

    pub(crate) fn symlink(self, path: &str, target: &str) -> Layer {
        self.entry(path, b'2', target, b"", |header| header.set_mode(0o777))
    }

    pub(crate) fn hard_link(self, path: &str, target: &str) -> Layer {
        self.entry(path, b'1', target, b"", |_| {})
    }

    pub(crate) fn whiteout(self, path: &str) -> Layer {
        let (parent, name) = path.rsplit_once('/').map_or(("", path), |(parent, name)| (parent, name));
        let slash = if parent.is_empty() { "" } else { "/" };
        self.file(&format!("{parent}{slash}.wh.{name}"), "")
    }

    pub(crate) fn opaque(self, directory: &str) -> Layer {
        self.file(&format!("{directory}/.wh..wh..opq"), "")
    }

    /// Any entry: type flag, link target, content, and what else `change` does to its header. Name and target are written
    /// as they are, up to 100 bytes.
    pub(crate) fn entry(
        mut self,
        path: &str,
        kind: u8,
        target: &str,
        content: &[u8],
        change: impl FnOnce(&mut tar::Header),
    ) -> Layer {
        let mut header = tar::Header::new_ustar();
        let raw = header.as_old_mut();
        raw.name[..path.len()].copy_from_slice(path.as_bytes());
        raw.linkname[..target.len()].copy_from_slice(target.as_bytes());
        raw.linkflag = [kind];
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(TIME);
        header.set_size(content.len() as u64);
        change(&mut header);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.content(content)
    }

    /// PAX records for the next entry.
    pub(crate) fn pax(self, records: &[(&str, &[u8])]) -> Layer {
        let mut body = Vec::new();
        for (key, value) in records {
            // "<length> <key>=<value>\n", the length counting its own digits.
            let rest = key.len() + value.len() + 3;
            let mut length = rest + rest.to_string().len();
            length = rest + length.to_string().len();
            body.extend_from_slice(format!("{length} {key}=").as_bytes());
            body.extend_from_slice(value);
            body.push(b'\n');
        }
        self.entry("PaxHeaders/x", b'x', "", &body, |_| {})
    }

    /// Bytes as they are, in blocks.
    pub(crate) fn content(mut self, bytes: &[u8]) -> Layer {
        self.0.extend_from_slice(bytes);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    /// With the two empty blocks at the end.
    pub(crate) fn tar(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }

    /// Without them.
    pub(crate) fn cut(self) -> Vec<u8> {
        self.0
    }
}

/// An OCI layout with one image, made part by part.
pub(crate) struct Layout {
    /// Files of the archive, in order.
    pub(crate) files: Vec<(String, Vec<u8>)>,
    pub(crate) manifest: Value,
    pub(crate) config: Value,
    pub(crate) name: Option<String>,
}

impl Layout {
    /// An image of these plain layers, stored with gzip.
    pub(crate) fn new(name: &str, layers: &[Vec<u8>]) -> Layout {
        Layout::with(name, layers, "tar+gzip", gzip)
    }

    /// Stored by `compress` under the media type's ending.
    pub(crate) fn with(name: &str, layers: &[Vec<u8>], kind: &str, compress: impl Fn(&[u8]) -> Vec<u8>) -> Layout {
        let diff_ids: Vec<String> = layers.iter().map(|layer| digest(layer)).collect();
        let history: Vec<Value> = layers.iter().map(|_| json!({ "created_by": "made by a test" })).collect();
        let config = json!({
            "created": "2023-11-14T22:13:20Z", "architecture": "amd64", "os": "linux",
            "config": { "Cmd": ["/bin/true"] }, "rootfs": { "type": "layers", "diff_ids": diff_ids }, "history": history,
        });
        let mut layout = Layout { files: Vec::new(), manifest: Value::Null, config, name: Some(name.to_owned()) };
        let media_type = format!("application/vnd.oci.image.layer.v1.{kind}");
        let layers: Vec<Value> = layers.iter().map(|layer| layout.blob(&media_type, compress(layer))).collect();
        layout.manifest = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": layers,
        });
        layout
    }

    /// Adds a blob and returns its descriptor.
    pub(crate) fn blob(&mut self, media_type: &str, bytes: Vec<u8>) -> Value {
        let digest = digest(&bytes);
        let descriptor = json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() });
        self.files.push((blob_path(&digest), bytes));
        descriptor
    }

    /// The blob file of a layer, to spoil.
    pub(crate) fn layer(&mut self, at: usize) -> &mut Vec<u8> {
        let digest = self.manifest["layers"][at]["digest"].as_str().unwrap();
        let path = blob_path(digest);
        &mut self.files.iter_mut().find(|(name, _)| *name == path).unwrap().1
    }

    /// The image's id once it is written.
    pub(crate) fn id(&self) -> String {
        digest(self.config.to_string().as_bytes())
    }

    /// The files of the archive, finished: configuration, manifest and index.
    pub(crate) fn finish(mut self) -> Vec<(String, Vec<u8>)> {
        if self.manifest["config"].is_null() {
            let config = self.config.to_string().into_bytes();
            self.manifest["config"] = self.blob("application/vnd.oci.image.config.v1+json", config);
        }
        let manifest = self.manifest.to_string().into_bytes();
        let mut entry = self.blob("application/vnd.oci.image.manifest.v1+json", manifest);
        if let Some(name) = &self.name {
            entry["annotations"] = json!({ "org.opencontainers.image.ref.name": name });
        }
        let index = json!({ "schemaVersion": 2, "manifests": [entry] });
        self.files.push(("oci-layout".into(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()));
        self.files.push(("index.json".into(), index.to_string().into_bytes()));
        self.files
    }

    pub(crate) fn tar(self) -> Vec<u8> {
        tar_of(&self.finish())
    }
}

fn blob_path(digest: &str) -> String {
    format!("blobs/{}", digest.replace(':', "/"))
}

/// A docker archive, as `docker save` of old wrote it.
pub(crate) struct DockerArchive {
    files: Vec<(String, Vec<u8>)>,
    manifest: Vec<Value>,
}

impl DockerArchive {
    pub(crate) fn new() -> DockerArchive {
        DockerArchive { files: Vec::new(), manifest: Vec::new() }
    }

    /// Adds an image of plain layers.
    pub(crate) fn image(mut self, tags: &[&str], layers: &[Vec<u8>]) -> DockerArchive {
        let diff_ids: Vec<String> = layers.iter().map(|layer| digest(layer)).collect();
        let config = json!({
            "created": "2023-11-14T22:13:20Z", "architecture": "amd64", "os": "linux", "config": { "Labels": { "tags": tags.join(" ") } },
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        let config = config.to_string().into_bytes();
        let name = format!("{}.json", &digest(&config)[7..]);
        let paths: Vec<String> = diff_ids.iter().map(|id| format!("{}/layer.tar", &id[7..])).collect();
        self.manifest.push(json!({ "Config": name, "RepoTags": tags, "Layers": paths }));
        self.files.push((name, config));
        self.files.extend(paths.into_iter().zip(layers.iter().cloned()));
        self
    }

    pub(crate) fn tar(mut self) -> Vec<u8> {
        let manifest = Value::Array(self.manifest).to_string().into_bytes();
        self.files.push(("manifest.json".into(), manifest));
        tar_of(&self.files)
    }
}

/// A tar of these files, each once.
pub(crate) fn tar_of(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut layer = Layer::new();
    let mut seen = std::collections::BTreeSet::new();
    for (path, bytes) in files.iter().filter(|(path, _)| seen.insert(path.clone())) {
        layer = layer.file(path, bytes);
    }
    layer.tar()
}
