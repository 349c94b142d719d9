//! The input archives, made by this program itself: small, the same bytes each time, and with what makes layers hard
//! (hard links, also into a lower layer, whiteouts, opaque directories, unnamed parents, gzip, a file of 1 MB).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

use crate::failure::Failure;
use crate::picture::hex;
use crate::random::Random;

/// What the archives hold.
#[derive(Debug, Clone)]
pub(crate) struct Inputs {
    pub(crate) directory: PathBuf,
    /// Image digest, and the digests of its layers (of the plain tars).
    pub(crate) images: BTreeMap<String, Vec<String>>,
}

impl Inputs {
    /// The digests of all images.
    pub(crate) fn ids(&self) -> BTreeSet<String> {
        self.images.keys().cloned().collect()
    }
}

/// One file of a layer.
enum Item {
    Directory(&'static str, u32),
    File(&'static str, usize),
    Symlink(&'static str, &'static str),
    HardLink(&'static str, &'static str),
}
use Item::{Directory, File, HardLink, Symlink};

const BOTTOM: &[Item] = &[
    Directory("etc/", 0o755),
    File("etc/passwd", 900),
    File("etc/shadow", 500),
    Directory("usr/", 0o755),
    Directory("usr/bin/", 0o755),
    File("usr/bin/tool", 1 << 20),
    HardLink("usr/bin/tool-again", "usr/bin/tool"),
    HardLink("usr/bin/tool-more", "usr/bin/tool"),
    Symlink("usr/bin/link", "tool"),
    Directory("usr/lib/", 0o750),
    File("usr/lib/one", 4096),
    File("usr/lib/two", 4097),
    File("usr/lib/empty", 0),
    Directory("var/", 0o755),
    Directory("var/cache/", 0o700),
    File("var/cache/index", 70_000),
    Directory("tmp/", 0o1777),
];
const MIDDLE: &[Item] = &[
    Directory("opt/", 0o755),
    File("opt/readme", 3000),
    File("opt/data", 200_000),
    Directory("etc/", 0o755),
    File("etc/shadow", 501),
];
/// Whiteouts and an opaque directory.
const UPPER: &[Item] = &[
    Directory("usr/", 0o755),
    Directory("usr/lib/", 0o755),
    File("usr/lib/.wh.two", 0),
    File("usr/lib/three", 33_000),
    Directory("var/", 0o755),
    Directory("var/cache/", 0o755),
    File("var/cache/.wh..wh..opq", 0),
    File("var/cache/fresh", 10),
];
/// Not whole by itself: a parent without an entry, and a hard link to a file below.
const LEANING: &[Item] = &[File("opt/deep/er/file", 5000), HardLink("opt/deep/er/tool", "usr/bin/tool")];
const PLAIN: &[Item] =
    &[Directory("srv/", 0o755), File("srv/page", 12_000), File("srv/big", 600_000), Symlink("srv/latest", "page")];
const SMALL: &[Item] = &[Directory("run/", 0o755), File("run/flag", 1)];

struct Layer {
    plain: Vec<u8>,
    stored: Vec<u8>,
    gzip: bool,
}

struct Image {
    name: &'static str,
    config: Vec<u8>,
    layers: Vec<Layer>,
}

/// Writes all archives into `directory` (made anew).
pub(crate) fn write(directory: &Path) -> Result<Inputs, Failure> {
    fs::create_dir_all(directory).map_err(Failure::io("create", directory))?;
    let image = |name, layers: &[(&str, &[Item], bool)]| {
        let layers = layers.iter().map(|(seed, items, gzip)| layer(seed, items, *gzip)).collect();
        image(name, layers)
    };
    let make = || -> std::io::Result<(Vec<Image>, Vec<u8>)> {
        let base = [("bottom", BOTTOM, false), ("middle", MIDDLE, false)];
        let app = [base[0], base[1], ("upper", UPPER, false), ("leaning", LEANING, false)];
        let third = [base[0], ("small", SMALL, false)];
        let other = [("plain", PLAIN, true), ("small-gzip", SMALL, true), ("upper-gzip", UPPER, true)];
        let images = vec![image("base", &base)?, image("app", &app)?, image("third", &third)?, image("other", &other)?];
        Ok((images, tree("rootfs", PLAIN)?))
    };
    let (images, rootfs) = make().map_err(Failure::io("make the images of", directory))?;
    let [base, app, third, other] = images.as_slice() else { unreachable!("four images were made") };
    let archives = [
        ("base.tar", layout(&[base])),
        ("other.tar", layout(&[other])),
        ("app.tar", docker_archive(&[app])),
        ("third.tar", docker_archive(&[third])),
        ("several.tar", docker_archive(&[app, third])),
        ("rootfs.tar", Ok(rootfs)),
    ];
    for (name, archive) in archives {
        let path = directory.join(name);
        let bytes = archive.map_err(Failure::io("make", &path))?;
        fs::write(&path, bytes).map_err(Failure::io("write", &path))?;
    }
    let images = images
        .iter()
        .map(|image| (digest(&image.config), image.layers.iter().map(|layer| digest(&layer.plain)).collect()))
        .collect();
    Ok(Inputs { directory: directory.to_owned(), images })
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(bytes)))
}

fn layer(seed: &str, items: &[Item], gzip: bool) -> std::io::Result<Layer> {
    let plain = tree(seed, items)?;
    let stored = if gzip {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&plain)?;
        encoder.finish()?
    } else {
        plain.clone()
    };
    Ok(Layer { plain, stored, gzip })
}

fn tree(seed: &str, items: &[Item]) -> std::io::Result<Vec<u8>> {
    let mut builder = Builder::new(Vec::new());
    for (index, item) in items.iter().enumerate() {
        let mut header = Header::new_gnu();
        let number = index as u64;
        header.set_mtime(1_000_000_000 + number * 86_401);
        header.set_uid(number * 100 % 700);
        header.set_gid(number * 10 % 70);
        header.set_mode(0o644);
        header.set_size(0);
        match item {
            Directory(path, mode) => {
                header.set_entry_type(EntryType::Directory);
                header.set_mode(*mode);
                builder.append_data(&mut header, path, &[][..])?;
            }
            File(path, size) => {
                let mut content = vec![0; *size];
                Random::new(1, &format!("{seed}/{path}"), number).fill(&mut content);
                header.set_size(*size as u64);
                header.set_mode(if number.is_multiple_of(3) { 0o4755 } else { 0o640 });
                builder.append_data(&mut header, path, content.as_slice())?;
            }
            Symlink(path, target) => {
                header.set_entry_type(EntryType::Symlink);
                builder.append_link(&mut header, path, target)?;
            }
            HardLink(path, target) => {
                header.set_entry_type(EntryType::Link);
                builder.append_link(&mut header, path, target)?;
            }
        }
    }
    builder.into_inner()
}

fn image(name: &'static str, layers: Vec<std::io::Result<Layer>>) -> std::io::Result<Image> {
    let layers: Vec<Layer> = layers.into_iter().collect::<Result<_, _>>()?;
    let diff_ids: Vec<String> = layers.iter().map(|layer| digest(&layer.plain)).collect();
    let history: Vec<Value> = diff_ids.iter().map(|_| json!({"created_by": name})).collect();
    let config = json!({
        "created": "2020-02-02T02:02:02Z",
        "architecture": "amd64",
        "os": "linux",
        "config": {"Cmd": ["/usr/bin/tool"], "Labels": {"name": name}},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": history,
    });
    Ok(Image { name, config: config.to_string().into_bytes(), layers })
}

/// An archive under construction: each blob once.
struct Archive {
    builder: Builder<Vec<u8>>,
    written: BTreeSet<String>,
}

impl Archive {
    fn new() -> Archive {
        Archive { builder: Builder::new(Vec::new()), written: BTreeSet::new() }
    }

    fn file(&mut self, path: &str, bytes: &[u8]) -> std::io::Result<()> {
        if !self.written.insert(path.to_owned()) {
            return Ok(());
        }
        let mut header = Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(bytes.len() as u64);
        self.builder.append_data(&mut header, path, bytes)
    }

    fn blob(&mut self, media_type: &str, bytes: &[u8]) -> std::io::Result<Value> {
        let digest = digest(bytes);
        self.file(&format!("blobs/{}", digest.replace(':', "/")), bytes)?;
        Ok(json!({"mediaType": media_type, "digest": digest, "size": bytes.len()}))
    }
}

/// An OCI image layout, with the names that both docker and containerd write.
fn layout(images: &[&Image]) -> std::io::Result<Vec<u8>> {
    let mut archive = Archive::new();
    let mut manifests = Vec::new();
    for image in images {
        let mut layers = Vec::new();
        for layer in &image.layers {
            let kind = if layer.gzip { "tar+gzip" } else { "tar" };
            layers.push(archive.blob(&format!("application/vnd.oci.image.layer.v1.{kind}"), &layer.stored)?);
        }
        let config = archive.blob("application/vnd.oci.image.config.v1+json", &image.config)?;
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let manifest = json!({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": layers});
        let mut descriptor = archive.blob(kind, manifest.to_string().as_bytes())?;
        descriptor["annotations"] = json!({
            "io.containerd.image.name": format!("docker.io/library/{}:1", image.name),
            "org.opencontainers.image.ref.name": "1",
        });
        manifests.push(descriptor);
    }
    let kind = "application/vnd.oci.image.index.v1+json";
    let index = json!({"schemaVersion": 2, "mediaType": kind, "manifests": manifests});
    archive.file("index.json", index.to_string().as_bytes())?;
    archive.file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    archive.builder.into_inner()
}

/// What `docker save` wrote before it became a layout.
fn docker_archive(images: &[&Image]) -> std::io::Result<Vec<u8>> {
    let mut archive = Archive::new();
    let mut manifest = Vec::new();
    for image in images {
        let mut paths = Vec::new();
        for layer in &image.layers {
            let path = format!("{}/layer.tar", &digest(&layer.stored)[7..]);
            archive.file(&path, &layer.stored)?;
            paths.push(path);
        }
        let config = format!("{}.json", &digest(&image.config)[7..]);
        archive.file(&config, &image.config)?;
        manifest.push(json!({"Config": config, "RepoTags": [format!("{}:1", image.name)], "Layers": paths}));
    }
    archive.file("manifest.json", Value::Array(manifest).to_string().as_bytes())?;
    archive.builder.into_inner()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_archives_have_the_same_bytes_each_time() {
        let directory = std::env::temp_dir().join(format!("dhow-crash-images-{}", std::process::id()));
        let read = |name: &str| std::fs::read(directory.join(name)).unwrap();
        let first = super::write(&directory).unwrap();
        let bytes = (read("several.tar"), read("other.tar"));
        let second = super::write(&directory).unwrap();
        assert_eq!(first.images, second.images);
        assert_eq!(bytes, (read("several.tar"), read("other.tar")));
        assert_eq!(first.images.len(), 4);
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
