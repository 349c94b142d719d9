//! Writes one tar that is an OCI image layout and a docker archive at once, as docker has done since version 25.
//!
//! Layers keep the bytes and compression they came with, so digests survive a `save` and `load`; whoever reads the
//! docker archive part decompresses by itself. The legacy `repositories` file is not written: it names layers by the
//! ids of Docker 1.9. Entries carry no time and no owner, so that equal images give equal archives.

use crate::content::{BlobSink, Descriptor, Ingest, Verified};
use crate::error::StoreError;
use dhow_spec::{Digest, Platform, Reference};
use serde_json::json;
use std::collections::HashSet;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Size of a tar block, in bytes.
const BLOCK: u64 = 512;

/// What the lists at the end of an archive say of an image.
#[derive(Debug, Clone)]
pub struct SavedImage {
    /// Names to save it under; none for an image that was asked for by id.
    pub names: Vec<Reference>,
    /// Its manifest.
    pub manifest: Descriptor,
    /// Its configuration.
    pub config: Digest,
    /// Its layer blobs, bottom first.
    pub layers: Vec<Digest>,
    /// What it runs on.
    pub platform: Platform,
}

/// A sink that is a tar under way. Blobs must come one after the other.
pub struct ArchiveSink<W: Write + Send> {
    tar: Arc<Mutex<TarStream<W>>>,
}

struct TarStream<W> {
    out: W,
    written: HashSet<Digest>,
    /// Whether a blob is being written: a tar has no room for two at once.
    busy: bool,
}

impl<W: Write + Send> ArchiveSink<W> {
    /// Starts an archive.
    pub fn new(out: W) -> ArchiveSink<W> {
        ArchiveSink { tar: Arc::new(Mutex::new(TarStream { out, written: HashSet::new(), busy: false })) }
    }

    fn tar(&self) -> MutexGuard<'_, TarStream<W>> {
        self.tar.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the lists that make the blobs before them images, and ends the archive.
    ///
    /// # Errors
    /// Of writing.
    pub fn finish(self, images: &[SavedImage]) -> Result<(), StoreError> {
        let mut tar = self.tar();
        tar.document("index.json", &index(images))?;
        tar.document("manifest.json", &docker_manifest(images))?;
        tar.document("oci-layout", &json!({"imageLayoutVersion": "1.0.0"}))?;
        tar.write(&[0; 2 * BLOCK as usize])?;
        tar.out.flush().map_err(|e| StoreError::io("write", "archive", e))
    }
}

fn index(images: &[SavedImage]) -> serde_json::Value {
    let mut manifests = Vec::new();
    for image in images {
        let mut entry = json!({
            "mediaType": image.manifest.media_type,
            "digest": image.manifest.digest.to_string(),
            "size": image.manifest.size,
            "platform": platform(&image.platform),
        });
        if image.names.is_empty() {
            manifests.push(entry.clone());
        }
        for name in &image.names {
            entry["annotations"] = json!({
                "io.containerd.image.name": name.canonical(),
                "org.opencontainers.image.ref.name": name.tag().unwrap_or("latest"),
            });
            manifests.push(entry.clone());
        }
    }
    json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": manifests,
    })
}

fn platform(platform: &Platform) -> serde_json::Value {
    let mut value = json!({"architecture": platform.architecture, "os": platform.os});
    if let Some(variant) = &platform.variant {
        value["variant"] = json!(variant);
    }
    value
}

fn docker_manifest(images: &[SavedImage]) -> serde_json::Value {
    let path = |d: &Digest| format!("blobs/{}/{}", d.algorithm().name(), d.hex());
    let entry = |image: &SavedImage| {
        let names: Vec<_> = image.names.iter().map(Reference::familiar).collect();
        json!({
            "Config": path(&image.config),
            "RepoTags": if names.is_empty() { json!(null) } else { json!(names) },
            "Layers": image.layers.iter().map(path).collect::<Vec<_>>(),
        })
    };
    images.iter().map(entry).collect()
}

impl<W: Write> TarStream<W> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.out.write_all(bytes).map_err(|e| StoreError::io("write", "archive", e))
    }

    fn header(&mut self, path: &str, size: u64) -> Result<(), StoreError> {
        let mut header = tar::Header::new_ustar();
        // A sha512 path has 141 bytes: ustar's prefix field takes it.
        header.set_path(path).map_err(|e| StoreError::io("name", path, e))?;
        header.set_size(size);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_cksum();
        self.write(header.as_bytes())
    }

    fn pad(&mut self, size: u64) -> Result<(), StoreError> {
        let rest = (BLOCK - size % BLOCK) % BLOCK;
        self.write(&[0; BLOCK as usize][..rest as usize])
    }

    fn document(&mut self, path: &str, value: &serde_json::Value) -> Result<(), StoreError> {
        let bytes = value.to_string().into_bytes();
        self.header(path, bytes.len() as u64)?;
        self.write(&bytes)?;
        self.pad(bytes.len() as u64)
    }
}

struct ArchiveIngest<W: Write + Send> {
    tar: Arc<Mutex<TarStream<W>>>,
    expect: Descriptor,
}

impl<W: Write + Send> Write for ArchiveIngest<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.tar.lock().unwrap_or_else(PoisonError::into_inner).out.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<W: Write + Send> Ingest for ArchiveIngest<W> {
    fn commit(self: Box<Self>, proof: Verified) -> Result<(), StoreError> {
        proof.check(&self.expect)?;
        let mut tar = self.tar.lock().unwrap_or_else(PoisonError::into_inner);
        tar.pad(self.expect.size)?;
        tar.written.insert(self.expect.digest);
        tar.busy = false;
        Ok(())
    }
}

impl<W: Write + Send> BlobSink for ArchiveSink<W> {
    fn begin<'a>(&'a self, expect: &Descriptor) -> Result<Box<dyn Ingest + 'a>, StoreError> {
        let mut tar = self.tar();
        if std::mem::replace(&mut tar.busy, true) {
            let source = io::Error::other("another blob is being written, or was left unfinished");
            return Err(StoreError::io("write", &expect.digest, source));
        }
        let path = format!("blobs/{}/{}", expect.digest.algorithm().name(), expect.digest.hex());
        tar.header(&path, expect.size)?;
        Ok(Box::new(ArchiveIngest { tar: self.tar.clone(), expect: expect.clone() }))
    }

    fn holds(&self, digest: &Digest) -> Result<bool, StoreError> {
        Ok(self.tar().written.contains(digest))
    }
}
