//! Scratch stores, and small images to put into them.

use dhow_spec::Digest;
use dhow_state::{
    Access, BlobRow, Durability, ImageRow, LayerRow, ManifestRow, ObjectKind, Operation, Places, State, StateError,
    TagRow, Write,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A directory of its own, removed at the end.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Scratch {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("state-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn places(&self) -> Places {
        places_in(&self.0)
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.0.join("root")
    }

    pub(crate) fn open(&self) -> State {
        State::open(&self.places(), Access::ReadWrite).unwrap()
    }

    pub(crate) fn open_to_read(&self) -> State {
        State::open(&self.places(), Access::ReadOnly).unwrap()
    }

    /// The ledger behind the back of the store, which must not be open in this process.
    pub(crate) fn tamper(&self, sql: &str) {
        rusqlite::Connection::open(self.root().join("ledger.db")).unwrap().execute_batch(sql).unwrap();
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn places_in(directory: &Path) -> Places {
    Places { root: directory.join("root"), run_root: directory.join("run") }
}

/// Image number `n`: a configuration, a manifest and two layers, of which the lower is shared by all.
pub(crate) struct Sample {
    pub(crate) config: Vec<u8>,
    pub(crate) manifest: Vec<u8>,
    pub(crate) layers: [Digest; 2],
    pub(crate) name: String,
}

impl Sample {
    pub(crate) fn new(n: u32) -> Sample {
        Sample {
            config: format!("config {n}").into_bytes(),
            manifest: format!("manifest {n}").into_bytes(),
            layers: [Digest::of(b"base layer"), Digest::of(format!("layer {n}").as_bytes())],
            name: format!("docker.io/library/sample:{n}"),
        }
    }

    pub(crate) fn id(&self) -> Digest {
        Digest::of(&self.config)
    }

    pub(crate) fn blobs(&self) -> [Digest; 2] {
        [Digest::of(&self.config), Digest::of(&self.manifest)]
    }

    pub(crate) fn image(&self) -> ImageRow {
        ImageRow {
            id: self.id(),
            config_size: self.config.len() as u64,
            os: "linux".to_owned(),
            architecture: "amd64".to_owned(),
            variant: None,
            created: Some(7),
            loaded: 8,
            size: 9,
            labels: BTreeMap::from([("k".to_owned(), "v".to_owned())]),
            layers: self.layers.to_vec(),
        }
    }

    pub(crate) fn manifest_row(&self) -> ManifestRow {
        ManifestRow {
            digest: Digest::of(&self.manifest),
            image: self.id(),
            media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
            size: self.manifest.len() as u64,
            blobs: vec![],
        }
    }

    pub(crate) fn tag(&self) -> TagRow {
        let manifest = Digest::of(&self.manifest);
        TagRow { name: self.name.clone(), image: self.id(), manifest, tagged: 10 }
    }

    /// Brings all bytes into the store, on behalf of an operation.
    pub(crate) fn bring(&self, state: &State, operation: &Operation<'_>) -> Result<(), StateError> {
        for bytes in [&self.config, &self.manifest] {
            bring_blob(operation, bytes)?;
        }
        for key in &self.layers {
            let _lock = state.lock(ObjectKind::Layer, &key.to_string())?;
            bring_layer(operation, key)?;
        }
        Ok(())
    }

    pub(crate) fn record(&self, w: &Write<'_>) -> Result<(), StateError> {
        w.put_image(&self.image(), &self.manifest_row())?;
        w.set_tag(&self.tag())?;
        Ok(())
    }

    /// The whole load.
    pub(crate) fn load(&self, state: &State) -> Result<(), StateError> {
        let operation = state.begin("load", 1)?;
        self.bring(state, &operation)?;
        operation.sync_published()?;
        operation.commit(Durability::PowerCut, |w| self.record(w))
    }

    /// The whole removal.
    pub(crate) fn remove(&self, state: &State) -> Result<bool, StateError> {
        let operation = state.begin("remove", 1)?;
        let id = operation.id();
        operation.commit(Durability::Crash, |w| {
            let there = w.delete_image(&self.id())?;
            w.collect_garbage(id)?;
            Ok(there)
        })
    }

    /// Every path that the image needs.
    pub(crate) fn paths(&self, state: &State) -> Vec<PathBuf> {
        let blobs = self.blobs().map(|d| state.blob_path(&d));
        blobs.into_iter().chain(self.layers.iter().map(|k| state.layer_path(k))).collect()
    }
}

pub(crate) fn bring_blob(operation: &Operation<'_>, bytes: &[u8]) -> Result<(), StateError> {
    let digest = Digest::of(bytes);
    if operation.lease_blob(&digest)?.is_none() {
        let file = operation.work().join(digest.hex());
        std::fs::write(&file, bytes).unwrap();
        operation.publish_blob(&file, &BlobRow { digest, size: bytes.len() as u64 })?;
    }
    Ok(())
}

pub(crate) fn bring_layer(operation: &Operation<'_>, key: &Digest) -> Result<(), StateError> {
    if operation.lease_layer(key)?.is_none() {
        let directory = operation.work().join(format!("layer-{}", key.hex()));
        std::fs::create_dir_all(directory.join("etc")).unwrap();
        std::fs::write(directory.join("etc/file"), b"content").unwrap();
        let row = LayerRow { key: key.clone(), diff_id: key.clone(), whole: true, size: 7, entries: 2 };
        operation.publish_layer(&directory, &row)?;
    }
    Ok(())
}

/// The names below a directory of the store, sorted.
pub(crate) fn names(directory: &Path) -> Vec<String> {
    let entries: Vec<_> = std::fs::read_dir(directory).map(|e| e.flatten().collect()).unwrap_or_default();
    let mut names: Vec<_> = entries.into_iter().map(|e| e.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
