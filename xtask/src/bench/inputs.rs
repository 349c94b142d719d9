//! What the benchmarks take in, made once and kept in the scratch folder: archives that are OCI layouts and docker archives
//! at once, so that every engine gets the same bytes.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::Options;
use crate::failure::Failure;
use crate::project::{self, output};

/// A layer of the archive to be made: its blob in a file, and the digest of its tar.
pub(crate) struct LayerFile {
    pub(crate) path: PathBuf,
    pub(crate) diff_id: String,
}

/// Makes a file of the scratch folder unless it is there: `make` writes to the path it is given.
fn once(options: &Options, name: &str, make: impl FnOnce(&Path) -> Result<(), Failure>) -> Result<PathBuf, Failure> {
    let path = options.scratch.join(name);
    if !path.exists() {
        eprintln!("xtask: making {name}");
        let part = options.scratch.join(format!("{name}.part"));
        make(&part)?;
        fs::rename(&part, &path).map_err(Failure::at(&path))?;
    }
    Ok(path)
}

/// One layer of a real root file system (some 500 MB), as `.tar.gz` and as an image of that one layer.
pub(crate) fn debian(options: &Options) -> Result<(PathBuf, PathBuf), Failure> {
    let tar = once(options, "debian.tar", |part| {
        let made = project::output(&mut Command::new(project::root().join("tests/fixtures/make")))?;
        let layout = made.lines().last().unwrap_or_default().to_owned() + "/oci:postgres";
        let bundle = options.scratch.join("debian.bundle");
        output(Command::new("umoci").args(["unpack", "--image", &layout]).arg(&bundle))?;
        output(
            Command::new("tar")
                .args(["--numeric-owner", "--sort=name", "-C"])
                .arg(bundle.join("rootfs"))
                .arg("-cf")
                .arg(part)
                .arg("."),
        )?;
        fs::remove_dir_all(&bundle).map_err(Failure::at(&bundle))
    })?;
    let packed = once(options, "debian.tar.gz", |part| {
        let input = File::open(&tar).map_err(Failure::at(&tar))?;
        let out = File::create(part).map_err(Failure::at(part))?;
        let mut gzip = GzEncoder::new(out, Compression::new(6));
        std::io::copy(&mut BufReader::new(input), &mut gzip).and_then(|_| gzip.finish()).map_err(Failure::at(part))?;
        Ok(())
    })?;
    let image = once(options, "debian.image.tar", |part| {
        let diff_id = digest_of_file(&tar)?;
        image_archive(part, "example.org/debian:bench", &[LayerFile { path: packed.clone(), diff_id }], "tar+gzip")
    })?;
    Ok((packed, image))
}

/// 12 layers, 22,000 files, some 740 MB that pack to 270: like a development image, but made of nothing.
pub(crate) fn twelve_layers(options: &Options) -> Result<PathBuf, Failure> {
    // Files, and mean size in KiB: a base, libraries, compilers, many small sources, an application.
    const LAYERS: [(usize, usize); 12] = [
        (3200, 51),
        (1800, 18),
        (3400, 16),
        (2600, 45),
        (700, 280),
        (600, 240),
        (900, 90),
        (3800, 13),
        (1400, 24),
        (500, 135),
        (1600, 8),
        (1500, 12),
    ];
    once(options, "twelve.image.tar", |part| {
        let mut layers = Vec::new();
        for (n, (files, kib)) in LAYERS.into_iter().enumerate() {
            let path = options.scratch.join(format!("twelve-{n}.tar.gz"));
            let out = File::create(&path).map_err(Failure::at(&path))?;
            let mut tar = Hashed::new(GzEncoder::new(BufWriter::new(out), Compression::new(6)));
            synthetic_layer(&mut tar, n as u64, files, kib * 1024).map_err(Failure::at(&path))?;
            let (gzip, diff_id) = tar.finish();
            gzip.finish().and_then(|mut out| out.flush()).map_err(Failure::at(&path))?;
            layers.push(LayerFile { path, diff_id });
        }
        image_archive(part, "example.org/twelve:bench", &layers, "tar+gzip")?;
        layers.iter().try_for_each(|layer| fs::remove_file(&layer.path).map_err(Failure::at(&layer.path)))
    })
}

/// One layer with one file of 4 GiB, compressed with `gzip`, `zstd`, `zstd-long` (a window of 128 MiB) or not at all.
pub(crate) fn four_gibibytes(options: &Options, compression: &str) -> Result<PathBuf, Failure> {
    let name = format!("4gib-{compression}.image.tar");
    once(options, &name, |part| {
        let path = options.scratch.join(format!("{name}.layer"));
        let file = File::create(&path).map_err(Failure::at(&path))?;
        let diff_id = match compression {
            "gzip" => {
                let mut tar = Hashed::new(GzEncoder::new(BufWriter::new(file), Compression::new(1)));
                one_large_file(&mut tar, 4 << 30).map_err(Failure::at(&path))?;
                let (gzip, diff_id) = tar.finish();
                gzip.finish().and_then(|mut out| out.flush()).map_err(Failure::at(&path))?;
                diff_id
            }
            "zstd" | "zstd-long" => {
                let plain = options.scratch.join(format!("{name}.tar"));
                let mut tar = Hashed::new(BufWriter::new(File::create(&plain).map_err(Failure::at(&plain))?));
                one_large_file(&mut tar, 4 << 30).map_err(Failure::at(&plain))?;
                let diff_id = tar.finish().1;
                let window = if compression == "zstd-long" { "--long=27" } else { "-3" };
                output(Command::new("zstd").args(["-q", "-f", "-1", window]).arg(&plain).arg("-o").arg(&path))?;
                fs::remove_file(&plain).map_err(Failure::at(&plain))?;
                diff_id
            }
            _ => {
                let mut tar = Hashed::new(BufWriter::new(file));
                one_large_file(&mut tar, 4 << 30).map_err(Failure::at(&path))?;
                tar.finish().1
            }
        };
        let kind = match compression.split('-').next() {
            Some("plain") | None => "tar".to_owned(),
            Some(name) => format!("tar+{name}"),
        };
        image_archive(
            part,
            &format!("example.org/large:{compression}"),
            &[LayerFile { path: path.clone(), diff_id }],
            &kind,
        )?;
        fs::remove_file(&path).map_err(Failure::at(&path))
    })
}

/// One layer of `files` small files.
pub(crate) fn many_files(options: &Options, files: usize) -> Result<PathBuf, Failure> {
    once(options, "many.image.tar", |part| {
        let path = options.scratch.join("many.layer");
        let out = File::create(&path).map_err(Failure::at(&path))?;
        let mut tar = Hashed::new(GzEncoder::new(BufWriter::new(out), Compression::new(1)));
        synthetic_layer(&mut tar, 1, files, 100).map_err(Failure::at(&path))?;
        let (gzip, diff_id) = tar.finish();
        gzip.finish().and_then(|mut out| out.flush()).map_err(Failure::at(&path))?;
        image_archive(part, "example.org/many:bench", &[LayerFile { path: path.clone(), diff_id }], "tar+gzip")?;
        fs::remove_file(&path).map_err(Failure::at(&path))
    })
}

/// A docker archive of `count` images of two layers, the lower one shared.
pub(crate) fn many_images(options: &Options, count: usize) -> Result<PathBuf, Failure> {
    once(options, "images.tar", |part| {
        let mut out = tar::Builder::new(BufWriter::new(File::create(part).map_err(Failure::at(part))?));
        let mut manifest = Vec::new();
        let base = small_layer("base")?;
        append(&mut out, "base.tar", &base).map_err(Failure::at(part))?;
        for n in 0..count {
            let own = small_layer(&n.to_string())?;
            let config = config(&[digest(&base), digest(&own)]).to_string();
            append(&mut out, &format!("{n}.json"), config.as_bytes()).map_err(Failure::at(part))?;
            append(&mut out, &format!("{n}.tar"), &own).map_err(Failure::at(part))?;
            let tag = format!("example.org/team-{}/app-{n}:v{}", n % 17, n % 5);
            manifest.push(
                json!({ "Config": format!("{n}.json"), "RepoTags": [tag], "Layers": ["base.tar", format!("{n}.tar")] }),
            );
        }
        append(&mut out, "manifest.json", Value::Array(manifest).to_string().as_bytes()).map_err(Failure::at(part))?;
        out.into_inner().and_then(|mut out| out.flush()).map_err(Failure::at(part))
    })
}

fn small_layer(name: &str) -> Result<Vec<u8>, Failure> {
    let mut out = tar::Builder::new(Vec::new());
    append(&mut out, &format!("srv/{name}"), name.as_bytes())
        .and_then(|()| out.into_inner())
        .map_err(|e| Failure::new(format!("a layer: {e}")))
}

/// Writes an archive with index.json and manifest.json over the same blobs, in a docker archive's order of sizes: documents
/// last, as tools write them.
fn image_archive(path: &Path, name: &str, layers: &[LayerFile], kind: &str) -> Result<(), Failure> {
    let mut out = tar::Builder::new(BufWriter::new(File::create(path).map_err(Failure::at(path))?));
    let mut descriptors = Vec::new();
    let mut seen = BTreeSet::new();
    for layer in layers {
        let digest = digest_of_file(&layer.path)?;
        let mut file = File::open(&layer.path).map_err(Failure::at(&layer.path))?;
        let size = file.metadata().map_err(Failure::at(&layer.path))?.len();
        if seen.insert(digest.clone()) {
            out.append_data(&mut header(size), blob_path(&digest), &mut file).map_err(Failure::at(path))?;
        }
        let media_type = format!("application/vnd.oci.image.layer.v1.{kind}");
        descriptors.push(json!({ "mediaType": media_type, "digest": digest, "size": size }));
    }
    let diff_ids: Vec<String> = layers.iter().map(|layer| layer.diff_id.clone()).collect();
    let config = config(&diff_ids).to_string();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": descriptors,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(config.as_bytes()), "size": config.len(),
        },
    });
    let text = manifest.to_string();
    let index = json!({ "schemaVersion": 2, "manifests": [{
        "mediaType": manifest["mediaType"], "digest": digest(text.as_bytes()), "size": text.len(),
        "annotations": { "org.opencontainers.image.ref.name": name },
    }]});
    let paths: Vec<String> =
        descriptors.iter().map(|layer| blob_path(layer["digest"].as_str().unwrap_or_default())).collect();
    let docker = json!([{ "Config": blob_path(&digest(config.as_bytes())), "RepoTags": [name], "Layers": paths }]);
    let documents = [
        (blob_path(&digest(config.as_bytes())), config),
        (blob_path(&digest(text.as_bytes())), text),
        ("oci-layout".to_owned(), r#"{"imageLayoutVersion":"1.0.0"}"#.to_owned()),
        ("index.json".to_owned(), index.to_string()),
        ("manifest.json".to_owned(), docker.to_string()),
    ];
    for (name, text) in documents {
        append(&mut out, &name, text.as_bytes()).map_err(Failure::at(path))?;
    }
    out.into_inner().and_then(|mut out| out.flush()).map_err(Failure::at(path))
}

fn config(diff_ids: &[String]) -> Value {
    json!({
        "created": "2023-11-14T22:13:20Z", "architecture": "amd64", "os": "linux", "config": { "Cmd": ["/bin/true"] },
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    })
}

fn blob_path(digest: &str) -> String {
    format!("blobs/{}", digest.replace(':', "/"))
}

fn header(size: u64) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_size(size);
    header.set_mode(0o644);
    header.set_mtime(1_700_000_000);
    header
}

fn append<W: Write>(out: &mut tar::Builder<W>, path: &str, bytes: &[u8]) -> std::io::Result<()> {
    out.append_data(&mut header(bytes.len() as u64), path, bytes)
}

/// Folders of 40 files each; most of them lines out of a thousand, some bytes that do not pack, sizes around `mean`.
fn synthetic_layer<W: Write>(out: W, seed: u64, files: usize, mean: usize) -> std::io::Result<()> {
    let mut random = Random(seed * 7919 + 1);
    let words: Vec<Vec<u8>> = (0..4000)
        .map(|_| (0..2 + random.below(9)).map(|_| b'a' + u8::try_from(random.below(26)).unwrap_or(0)).collect())
        .collect();
    let lines: Vec<Vec<u8>> = (0..1000)
        .map(|_| {
            (0..2 + random.below(10)).map(|_| words[random.below(4000)].as_slice()).collect::<Vec<_>>().join(&b' ')
        })
        .collect();
    let mut out = tar::Builder::new(out);
    for n in 0..files {
        if n % 40 == 0 {
            let mut folder = header(0);
            folder.set_entry_type(tar::EntryType::Directory);
            folder.set_mode(0o755);
            out.append_data(&mut folder, format!("layer-{seed}/part-{}/", n / 40), std::io::empty())?;
        }
        // Many small ones, few large ones, the mean as asked for.
        let size = mean / 4 + random.below(mean) * (1 + random.below(3)) / 2;
        let mut content = Vec::with_capacity(size + 16);
        while content.len() < size {
            if n % 7 == 0 {
                content.extend_from_slice(&random.next().to_le_bytes());
            } else {
                // Some lines are common and some are rare, in code as in prose.
                let common = random.below(lines.len()) + 1;
                content.extend_from_slice(&lines[random.below(common)]);
                content.push(b'\n');
            }
        }
        append(&mut out, &format!("layer-{seed}/part-{}/file-{n}", n / 40), &content)?;
    }
    out.into_inner().map(drop)
}

/// Not all zeros, which would be a sparse file to some; a window's worth of noise again and again.
fn one_large_file<W: Write>(out: W, size: u64) -> std::io::Result<()> {
    let mut random = Random(5);
    let block: Vec<u8> = (0..1 << 17).flat_map(|_| random.next().to_le_bytes()).collect();
    let content = std::iter::repeat_n(block, usize::try_from(size >> 20).unwrap_or(0));
    let mut out = tar::Builder::new(out);
    out.append_data(&mut header(size), "large", Repeated { blocks: content, block: Vec::new(), at: 0 })?;
    out.into_inner().map(drop)
}

struct Repeated<I> {
    blocks: I,
    block: Vec<u8>,
    at: usize,
}

impl<I: Iterator<Item = Vec<u8>>> Read for Repeated<I> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.at == self.block.len() {
            self.block = self.blocks.next().unwrap_or_default();
            self.at = 0;
        }
        let n = buffer.len().min(self.block.len() - self.at);
        buffer[..n].copy_from_slice(&self.block[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

/// xorshift64*: the same bytes on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap_or(0) % end
    }
}

/// Hashes what passes.
struct Hashed<W> {
    inner: W,
    hash: Sha256,
}

impl<W: Write> Hashed<W> {
    fn new(inner: W) -> Self {
        Hashed { inner, hash: Sha256::new() }
    }

    fn finish(self) -> (W, String) {
        (self.inner, hex(&self.hash.finalize()))
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let n = self.inner.write(bytes)?;
        self.hash.update(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn digest_of_file(path: &Path) -> Result<String, Failure> {
    let mut file = File::open(path).map_err(Failure::at(path))?;
    let mut hashed = Hashed::new(std::io::sink());
    std::io::copy(&mut file, &mut hashed).map_err(Failure::at(path))?;
    Ok(hashed.finish().1)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}
