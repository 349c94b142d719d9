//! The stand-in's state: images, their layers, names; opened under a lock, recovered, replaced atomically.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::Result;
use crate::fault::Fault;

/// One image: its manifest, its layers (digests of the plain tars), and the blobs it needs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Image {
    pub(crate) manifest: String,
    pub(crate) layers: Vec<String>,
    pub(crate) blobs: Vec<String>,
}

/// The store.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) root: PathBuf,
    pub(crate) fault: Fault,
    pub(crate) images: BTreeMap<String, Image>,
    pub(crate) names: BTreeMap<String, String>,
    /// Held as long as the store is open for writing.
    _lock: Option<File>,
}

impl Store {
    /// Opens for reading: takes no lock, changes nothing.
    pub(crate) fn read(root: &Path, fault: Fault) -> Result<Store> {
        let mut store =
            Store { root: root.to_owned(), fault, images: BTreeMap::new(), names: BTreeMap::new(), _lock: None };
        store.reload()?;
        Ok(store)
    }

    /// Opens for writing: waits for the lock, and sweeps what dead commands left.
    pub(crate) fn write(root: &Path, fault: Fault) -> Result<Store> {
        for directory in ["blobs/sha256", "layers", "work"] {
            fs::create_dir_all(root.join(directory))?;
        }
        let lock = File::create(root.join("lock"))?;
        if fault != Fault::NoLock {
            lock.lock()?;
        }
        let mut store = Store::read(root, fault)?;
        store._lock = Some(lock);
        store.sweep()?;
        Ok(store)
    }

    fn reload(&mut self) -> Result<()> {
        let path = self.root.join("ledger.json");
        if !path.exists() {
            return Ok(());
        }
        let document: Value = serde_json::from_slice(&fs::read(path)?)?;
        let words = |value: &Value| -> Vec<String> {
            value.as_array().into_iter().flatten().filter_map(|word| word.as_str().map(str::to_owned)).collect()
        };
        for (id, image) in document["images"].as_object().into_iter().flatten() {
            let manifest = image["manifest"].as_str().unwrap_or_default().to_owned();
            let image = Image { manifest, layers: words(&image["layers"]), blobs: words(&image["blobs"]) };
            self.images.insert(id.clone(), image);
        }
        for (name, id) in document["names"].as_object().into_iter().flatten() {
            self.names.insert(name.clone(), id.as_str().unwrap_or_default().to_owned());
        }
        Ok(())
    }

    /// Replaces the ledger, durably.
    pub(crate) fn commit(&self) -> Result<()> {
        let images: BTreeMap<&String, Value> = self
            .images
            .iter()
            .map(|(id, image)| (id, json!({"manifest": image.manifest, "layers": image.layers, "blobs": image.blobs})))
            .collect();
        let document = json!({"images": images, "names": self.names}).to_string();
        let path = self.root.join("ledger.json");
        let next = if self.fault == Fault::LedgerInPlace { path.clone() } else { self.root.join("work/ledger.next") };
        let mut file = File::create(&next)?;
        for part in document.as_bytes().chunks(512) {
            file.write_all(part)?;
        }
        if self.fault != Fault::NoSync {
            file.sync_all()?;
        }
        if next != path {
            fs::rename(&next, &path)?;
        }
        self.flush(&self.root)
    }

    /// Flushes one directory.
    pub(crate) fn flush(&self, directory: &Path) -> Result<()> {
        if self.fault != Fault::NoSync {
            File::open(directory)?.sync_all()?;
        }
        Ok(())
    }

    /// Flushes everything that was unpacked.
    pub(crate) fn flush_all(&self) -> Result<()> {
        if !matches!(self.fault, Fault::NoSync | Fault::NoSyncOfLayers) {
            rustix::fs::syncfs(File::open(&self.root)?)?;
        }
        Ok(())
    }

    /// Removes what no image needs and what dead commands were working on.
    pub(crate) fn sweep(&self) -> Result<Vec<PathBuf>> {
        let mut swept = Vec::new();
        if self.fault != Fault::KeepWork {
            for entry in fs::read_dir(self.root.join("work"))? {
                swept.push(entry?.path());
            }
        }
        // Who takes a layer for whole because it is there does not sweep it either.
        if !matches!(self.fault, Fault::KeepOrphans | Fault::UnpackInPlace) {
            let blobs: BTreeSet<&String> = self.images.values().flat_map(|image| &image.blobs).collect();
            let layers: BTreeSet<String> =
                self.images.values().flat_map(|image| &image.layers).map(|layer| layer.replace(':', "-")).collect();
            for entry in fs::read_dir(self.root.join("blobs/sha256"))? {
                let entry = entry?;
                let name = format!("sha256:{}", entry.file_name().to_string_lossy());
                swept.extend((!blobs.contains(&name)).then(|| entry.path()));
            }
            for entry in fs::read_dir(self.root.join("layers"))? {
                let entry = entry?;
                let name = entry.file_name().to_string_lossy().into_owned();
                swept.extend((!layers.contains(&name)).then(|| entry.path()));
            }
        }
        for path in &swept {
            if path.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
        }
        Ok(swept)
    }

    /// The image that a name or a digest means.
    pub(crate) fn find(&self, name: &str) -> Result<String> {
        if self.images.contains_key(name) {
            return Ok(name.to_owned());
        }
        let id = self.names.get(name);
        Ok(id.ok_or_else(|| format!("{name}: no such image"))?.clone())
    }
}
