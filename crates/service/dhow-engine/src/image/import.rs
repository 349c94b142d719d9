//! `import`: a root filesystem in a tar becomes an image of one layer.

use super::ahead::read_ahead;
use super::bring::{Present, image_row, keep_free, remove};
use super::load::event;
use crate::Engine;
use crate::error::EngineError;
use crate::image::tag;
use crate::progress::Progress;
use dhow_rootfs::{Limits, NoObserver, Outcome, UnpackJob, Unpacked};
use dhow_spec::image_config::{History, ImageConfig, RootFs};
use dhow_spec::media_type::{self, Compression};
use dhow_spec::{Digest, Platform, Reference, change};
use dhow_state::{Durability, LayerRow, ManifestRow, ObjectKind, Operation, Timestamp};
use dhow_store::local::{LocalSink, Measured};
use dhow_store::{Descriptor, StoreError, compression};
use dhow_sys::tree::Tree;
use std::io::{self, Read, Write};

/// What to import.
pub struct ImportRequest {
    /// The tar, plain or compressed.
    pub input: Box<dyn Read + Send>,
    /// Where it comes from, for messages.
    pub source: String,
    /// Name for the image.
    pub name: Option<Reference>,
    /// Dockerfile instructions to apply to the configuration.
    pub changes: Vec<String>,
    /// Comment; `Imported from -` when empty, as docker has it.
    pub message: String,
    /// What the image runs on; the host's own when not said.
    pub platform: Option<Platform>,
}

impl Engine {
    /// Makes an image from a root filesystem and returns its id.
    ///
    /// # Errors
    /// When the tar or a change is invalid or the store cannot take it; nothing is changed then.
    pub fn import(&self, request: ImportRequest, progress: &dyn Progress) -> Result<Digest, EngineError> {
        self.import_root(request, progress).map_err(|e| e.on_disk(self.state.root()))
    }

    fn import_root(&self, request: ImportRequest, progress: &dyn Progress) -> Result<Digest, EngineError> {
        let mut config = configuration(&request)?;
        let operation = self.state.begin("import", self.now())?;
        let sink = LocalSink::new(&operation);
        let (layer, row) = self.root_layer(&operation, &sink, request.input, &request.source, progress)?;
        let now = self.now();
        let created = rfc3339(now);
        config.created = Some(created.clone());
        config.rootfs =
            RootFs { kind: RootFs::LAYERS.to_owned(), diff_ids: vec![row.diff_id.clone()], extra: Default::default() };
        config.history =
            vec![History { created: Some(created), comment: config.comment.clone(), ..History::default() }];
        let config_blob = sink.put(media_type::OCI_CONFIG, &config.to_bytes())?;
        let manifest_blob = sink.put(
            media_type::OCI_MANIFEST,
            &dhow_store::archive::manifest(&config_blob, std::slice::from_ref(&layer)),
        )?;
        progress.flushing();
        operation.sync_published()?;
        if self.cancel.is_set() {
            return Err(EngineError::Interrupted);
        }
        let present = Present { key: row.key, size: row.size };
        let image = image_row(&config_blob, &config, &[present], now);
        let manifest = ManifestRow {
            digest: manifest_blob.digest.clone(),
            image: config_blob.digest.clone(),
            media_type: manifest_blob.media_type.clone(),
            size: manifest_blob.size,
            blobs: vec![layer.digest],
        };
        operation.commit(Durability::PowerCut, |w| {
            w.put_image(&image, &manifest)?;
            if let Some(name) = &request.name {
                tag::set(w, name, &image.id, &manifest.digest, now)?;
            }
            w.record_event(&event(now, "import", &image.id, request.name.as_ref()))?;
            Ok(image.id.clone())
        })
    }

    /// Takes in the only layer: its blob as it comes, and its unpacked tree.
    fn root_layer(
        &self,
        operation: &Operation<'_>,
        sink: &LocalSink<'_, '_>,
        input: Box<dyn Read + Send>,
        source: &str,
        progress: &dyn Progress,
    ) -> Result<(Descriptor, LayerRow), EngineError> {
        let work = operation.work().join("root");
        let tree = Tree::create(&work).map_err(|e| EngineError::io("create", work.display(), e))?;
        let mut tee = WriteDown {
            input,
            measured: sink.begin_unknown()?,
            failure: None,
            cancel: &self.cancel,
            progress,
            read: 0,
        };
        let outcome = unpack_root(&mut tee, &tree, source, keep_free(&self.state));
        let (compression, unpacked) = match (outcome, tee.failure.take()) {
            (_, Some(failure)) => return Err(failure),
            (outcome, None) => outcome?,
        };
        io::copy(&mut tee, &mut io::sink())
            .map_err(|e| tee.failure.take().unwrap_or(EngineError::io("read", source, e)))?;
        if tee.read == 0 {
            return Err(EngineError::Invalid {
                problem: format!("{source} is empty"),
                hint: Some("give a tar of a root filesystem, for example: tar -C DIR -c . | dhow import - NAME".into()),
            });
        }
        let (path, proof) = tee.measured.finish()?;
        let row = LayerRow {
            key: unpacked.diff_id.clone().unwrap_or_else(|| proof.digest().clone()),
            diff_id: unpacked.diff_id.unwrap_or_else(|| proof.digest().clone()),
            whole: unpacked.whole,
            size: unpacked.size,
            entries: unpacked.entries,
        };
        let _lock = self.state.lock(ObjectKind::Layer, &row.key.to_string())?;
        sink.publish(&path, &proof)?;
        operation.publish_layer(&work, &row)?;
        if work.exists() {
            remove(&work)?;
        }
        let blob = Descriptor {
            media_type: compression.oci_layer().to_owned(),
            digest: proof.digest().clone(),
            size: proof.size(),
        };
        Ok((blob, row))
    }
}

fn unpack_root(
    tee: &mut WriteDown<'_>,
    tree: &Tree,
    source: &str,
    keep_free: u64,
) -> Result<(Compression, Unpacked), EngineError> {
    let unpacked = read_ahead(tee, |ahead| {
        let (compression, mut plain) = compression::decode(ahead, source)?;
        let job = UnpackJob {
            below: None,
            bottom: true,
            hash: compression != Compression::None,
            observer: &mut NoObserver,
            limits: Limits { keep_free, ..Limits::default() },
        };
        match dhow_rootfs::unpack(&mut plain, tree, job) {
            Ok(Outcome::Unpacked(unpacked)) => Ok((compression, unpacked)),
            Ok(_) => unreachable!("a bottom layer has nothing to wait for"),
            Err(problem) => Err(EngineError::Import { archive: source.to_owned(), source: problem }),
        }
    });
    unpacked.map_err(|e| EngineError::io("start a thread for", source, e))?
}

/// Passes bytes on and writes them down.
struct WriteDown<'t> {
    input: Box<dyn Read + Send>,
    measured: Measured,
    failure: Option<EngineError>,
    cancel: &'t crate::Cancel,
    progress: &'t dyn Progress,
    read: u64,
}

impl Read for WriteDown<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.cancel.is_set() {
            self.failure = Some(EngineError::Interrupted);
            return Err(io::Error::other("interrupted"));
        }
        let n = self.input.read(buf)?;
        if let Err(e) = self.measured.write_all(&buf[..n]) {
            let text = e.to_string();
            self.failure = Some(StoreError::io("write", "the layer", e).into());
            return Err(io::Error::other(text));
        }
        self.read += n as u64;
        self.progress.spooled(self.read);
        Ok(n)
    }
}

fn invalid(e: change::ChangeError) -> EngineError {
    EngineError::Invalid { problem: e.to_string(), hint: None }
}

fn configuration(request: &ImportRequest) -> Result<ImageConfig, EngineError> {
    let mut config = ImageConfig::default();
    config.set_platform(&request.platform.clone().unwrap_or_else(Platform::host));
    config.comment = match request.message.as_str() {
        "" => "Imported from -".to_owned(),
        message => message.to_owned(),
    };
    let changes = change::parse(&request.changes).map_err(invalid)?;
    change::apply(&mut config, &changes).map_err(invalid)?;
    Ok(config)
}

fn rfc3339(time: Timestamp) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(time)).map(|t| t.to_string()).unwrap_or_default()
}
