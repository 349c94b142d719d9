//! Brings one image in from a source: documents, blobs and unpacked layers.
//!
//! Layers are unpacked by several threads, each on its own, while their blobs are being written and verified. A layer
//! that turns out not to be whole by itself waits until all are there; then such layers follow one by one, bottom
//! first. Mostly they only went through directories without naming them, which then get their look from those below;
//! a layer with a hard link to a lower file, or a path through a lower symbolic link, is unpacked once more.
//!
//! Locks: a worker holds the lock of one layer and waits for no second one; so two loads of the same image share the
//! work instead of doing it twice, and cannot deadlock.

use super::ahead::read_ahead;
use crate::error::EngineError;
use crate::progress::{Cancel, LayerProgress, Progress};
use dhow_rootfs::{Below, Limits, NoObserver, Outcome, UnpackJob, Unpacked, Unsettled};
use dhow_spec::{Algorithm, Digest, ImageConfig, document, media_type};
use dhow_state::{ImageRow, LayerRow, ManifestRow, ObjectKind, Operation, State, Timestamp};
use dhow_store::local::{LocalSink, LocalSource, read_document};
use dhow_store::{BlobSink, BlobSource, Descriptor, Ingest, StoreError, VerifiedReader, compression};
use dhow_sys::tree::Tree;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Layers unpacked at once, at most: more only fight for the disk.
const MAX_WORKERS: usize = 8;

/// Space to leave free on the store's file system while unpacking, in bytes: a bomb must not fill the host's disk.
/// The smaller of this and a twentieth of the file system counts.
const KEEP_FREE: u64 = 256 * 1024 * 1024;

/// What bringing an image in needs.
pub(crate) struct Bring<'a, 's> {
    pub(crate) state: &'s State,
    pub(crate) operation: &'a Operation<'s>,
    pub(crate) sink: &'a LocalSink<'a, 's>,
    pub(crate) source: &'a dyn BlobSource,
    pub(crate) progress: &'a dyn Progress,
    pub(crate) cancel: &'a Cancel,
    pub(crate) now: Timestamp,
    /// Trees begun so far.
    pub(crate) trees: AtomicUsize,
}

/// An image whose bytes are all there, and the rows that will make it visible.
pub(crate) struct Brought {
    pub(crate) image: ImageRow,
    pub(crate) manifest: ManifestRow,
}

/// One layer to bring in.
struct Layer {
    blob: Descriptor,
    diff_id: Digest,
    chain_id: Digest,
    bottom: bool,
}

/// A layer that is there.
pub(super) struct Present {
    pub(super) key: Digest,
    pub(super) size: u64,
}

/// What a layer came to without those below it.
enum Alone {
    Present(Present),
    /// Unpacked, but for directories that it does not name.
    Unsettled(Tentative),
    /// To be unpacked on top of those below it; its blob is there.
    Waiting,
}

/// A tree in the work directory that will do if the layers below are as expected.
struct Tentative {
    tree: PathBuf,
    unpacked: Unpacked,
    unsettled: Unsettled,
}

fn row(layer: &Layer, key: &Digest, unpacked: &Unpacked) -> LayerRow {
    LayerRow {
        key: key.clone(),
        diff_id: layer.diff_id.clone(),
        whole: unpacked.whole,
        size: unpacked.size,
        entries: unpacked.entries,
    }
}

impl Bring<'_, '_> {
    /// Brings in the image that `manifest` describes.
    pub(crate) fn image(&self, manifest: &Descriptor) -> Result<Brought, EngineError> {
        let bytes = read_document(self.source, manifest)?;
        let parsed = document::manifest(&bytes)?;
        let config_blob = Descriptor::of(parsed.config()).map_err(StoreError::from)?;
        let config_bytes = read_document(self.source, &config_blob)?;
        let config = document::config(&config_bytes)?;
        document::check_layers(&parsed, &config)?;
        let layers = layers(&parsed, &config)?;
        let present = self.layers(&layers)?;
        self.sink.put(&config_blob.media_type, &config_bytes)?;
        self.sink.put(&manifest.media_type, &bytes)?;
        Ok(Brought {
            image: image_row(&config_blob, &config, &present, self.now),
            manifest: ManifestRow {
                digest: manifest.digest.clone(),
                image: config_blob.digest,
                media_type: manifest.media_type.clone(),
                size: manifest.size,
                blobs: layers.into_iter().map(|l| l.blob.digest).collect(),
            },
        })
    }

    fn layers(&self, layers: &[Layer]) -> Result<Vec<Present>, EngineError> {
        let mut present: Vec<Present> = Vec::new();
        for (layer, alone) in layers.iter().zip(self.each_alone(layers)?) {
            let found = match alone {
                Alone::Present(found) => found,
                Alone::Unsettled(tree) => self.on_top(layer, &present, Some(tree))?,
                Alone::Waiting => self.on_top(layer, &present, None)?,
            };
            present.push(found);
        }
        Ok(present)
    }

    /// Brings in what each layer is by itself, side by side; afterwards the blobs of all are there.
    fn each_alone(&self, layers: &[Layer]) -> Result<Vec<Alone>, EngineError> {
        let results = Mutex::new(Vec::new());
        results.lock().unwrap_or_else(PoisonError::into_inner).resize_with(layers.len(), || Alone::Waiting);
        let failure = Mutex::new(None);
        let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        let work = || {
            while !stop.load(Ordering::Relaxed) {
                let i = next.fetch_add(1, Ordering::Relaxed);
                let Some(layer) = layers.get(i) else { return };
                match self.alone(layer) {
                    Ok(found) => results.lock().unwrap_or_else(PoisonError::into_inner)[i] = found,
                    Err(e) => {
                        failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(e);
                        stop.store(true, Ordering::Relaxed);
                    }
                }
            }
        };
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        std::thread::scope(|scope| {
            for _ in 1..cpus.min(layers.len()).min(MAX_WORKERS) {
                scope.spawn(work);
            }
            work();
        });
        match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(e) => Err(e),
            None => Ok(results.into_inner().unwrap_or_else(PoisonError::into_inner)),
        }
    }

    /// One layer without those below it.
    fn alone(&self, layer: &Layer) -> Result<Alone, EngineError> {
        let watch = self.progress.layer(&layer.diff_id, Some(layer.blob.size));
        let _lock = self.state.lock(ObjectKind::Layer, &layer.diff_id.to_string())?;
        if let Some(present) = self.lease(layer)? {
            self.blob(layer, watch.as_ref())?;
            watch.finish("Layer already exists");
            return Ok(Alone::Present(present));
        }
        // Somewhere it is the bottom layer, and looks different there.
        if self.state.read(|r| r.layer(&layer.diff_id))?.is_some() {
            self.blob(layer, watch.as_ref())?;
            watch.finish("Waiting for the layers below");
            return Ok(Alone::Waiting);
        }
        let tree = self.new_tree();
        let alone = match self.unpack(layer, &tree, None, watch.as_ref())? {
            Outcome::Unpacked(unpacked) => Alone::Present(self.publish(&tree, row(layer, &layer.diff_id, &unpacked))?),
            Outcome::Unsettled(unpacked, unsettled) => Alone::Unsettled(Tentative { tree, unpacked, unsettled }),
            Outcome::NeedsBelow { .. } => {
                remove(&tree)?;
                Alone::Waiting
            }
        };
        watch.finish("Loaded");
        Ok(alone)
    }

    /// One layer on top of those below it.
    fn on_top(&self, layer: &Layer, present: &[Present], tentative: Option<Tentative>) -> Result<Present, EngineError> {
        let _lock = self.state.lock(ObjectKind::Layer, &layer.chain_id.to_string())?;
        if let Some(present) = self.lease(layer)? {
            return Ok(present);
        }
        let failed = |source| EngineError::Unpack { layer: layer.blob.digest.clone(), source };
        let below = present.iter().rev().map(|p| self.state.layer_path(&p.key));
        let below = Below::open(below).map_err(failed)?;
        if let Some(Tentative { tree, unpacked, unsettled }) = tentative {
            let opened = Tree::open(&tree).map_err(|e| EngineError::io("open", tree.display(), e))?;
            if dhow_rootfs::settle(&opened, &unsettled, &below).map_err(failed)? {
                return self.publish(&tree, row(layer, &layer.chain_id, &unpacked));
            }
            remove(&tree)?;
        }
        let watch = self.progress.layer(&layer.chain_id, Some(layer.blob.size));
        let tree = self.new_tree();
        match self.unpack(layer, &tree, Some(&below), watch.as_ref())? {
            Outcome::Unpacked(unpacked) => {
                watch.finish("Loaded");
                self.publish(&tree, LayerRow { whole: false, ..row(layer, &layer.chain_id, &unpacked) })
            }
            _ => unreachable!("with the layers below at hand nothing is left to settle"),
        }
    }

    fn publish(&self, tree: &Path, row: LayerRow) -> Result<Present, EngineError> {
        self.operation.publish_layer(tree, &row)?;
        Ok(Present { key: row.key, size: row.size })
    }

    /// A place for a tree under way.
    fn new_tree(&self) -> PathBuf {
        self.operation.work().join(format!("layer-{}", self.trees.fetch_add(1, Ordering::Relaxed)))
    }

    /// The layer as it is in the store already, if it is; leased from then on.
    fn lease(&self, layer: &Layer) -> Result<Option<Present>, EngineError> {
        for key in [&layer.diff_id, &layer.chain_id] {
            if let Some(row) = self.operation.lease_layer(key)?
                && (row.whole || row.key == layer.chain_id)
            {
                return Ok(Some(Present { key: row.key, size: row.size }));
            }
        }
        Ok(None)
    }

    /// The blob of a layer that is unpacked already.
    fn blob(&self, layer: &Layer, watch: &dyn LayerProgress) -> Result<(), EngineError> {
        if self.sink.lease(&layer.blob.digest)? {
            return Ok(());
        }
        if let Some((path, proof)) = self.source.written_down(&layer.blob) {
            return Ok(self.sink.publish(&path, &proof)?);
        }
        let mut tee = self.tee(layer, watch)?;
        tee.drain()?;
        tee.commit()
    }

    /// Unpacks a layer into a new tree, and takes its blob into the store on the way.
    fn unpack(
        &self,
        layer: &Layer,
        tree: &Path,
        below: Option<&Below>,
        watch: &dyn LayerProgress,
    ) -> Result<Outcome, EngineError> {
        if let Some((path, proof)) = self.source.written_down(&layer.blob)
            && !self.sink.lease(&layer.blob.digest)?
        {
            self.sink.publish(&path, &proof)?;
        }
        let mut tee = self.tee(layer, watch)?;
        let outcome = match self.unpack_into(tree, layer, below, &mut tee) {
            Ok(outcome) => outcome,
            Err(e) => return Err(tee.explain(e)),
        };
        tee.drain()?;
        tee.commit()?;
        if let Outcome::Unpacked(unpacked) | Outcome::Unsettled(unpacked, _) = &outcome {
            let found = unpacked.diff_id.as_ref().unwrap_or(&layer.blob.digest);
            if *found != layer.diff_id {
                let (blob, expected) = (layer.blob.digest.clone(), layer.diff_id.clone());
                return Err(EngineError::DiffId { blob, expected, found: found.clone() });
            }
        }
        Ok(outcome)
    }

    fn unpack_into(
        &self,
        tree: &Path,
        layer: &Layer,
        below: Option<&Below>,
        tee: &mut Tee<'_>,
    ) -> Result<Outcome, EngineError> {
        let tree = Tree::create(tree).map_err(|e| EngineError::io("create", tree.display(), e))?;
        let what = format!("layer {}", layer.blob.digest);
        let keep_free = keep_free(self.state);
        let outcome = read_ahead(tee, |ahead| {
            let (compression, mut plain) = compression::decode(ahead, &what)?;
            let job = UnpackJob {
                below,
                bottom: layer.bottom,
                // The digest of a plain tar is its diff id, and is computed anyway.
                hash: compression != media_type::Compression::None
                    || layer.blob.digest.algorithm() != Algorithm::Sha256,
                observer: &mut NoObserver,
                limits: Limits { keep_free, ..Limits::default() },
            };
            let outcome = dhow_rootfs::unpack(&mut plain, &tree, job);
            outcome.map_err(|source| EngineError::Unpack { layer: layer.blob.digest.clone(), source })
        });
        outcome.map_err(|e| EngineError::io("start a thread for", &what, e))?
    }

    /// A reader of the layer's blob that takes it into the store on the way, unless it is there.
    fn tee<'t>(&'t self, layer: &Layer, watch: &'t dyn LayerProgress) -> Result<Tee<'t>, EngineError> {
        let present = self.sink.lease(&layer.blob.digest)?;
        let reader = match present {
            true => LocalSource::new(self.state).open(&layer.blob)?,
            false => self.source.open(&layer.blob)?,
        };
        let ingest = if present { None } else { Some(self.sink.begin(&layer.blob)?) };
        Ok(Tee { reader, ingest, watch, cancel: self.cancel, failure: None, digest: layer.blob.digest.clone() })
    }
}

/// Passes a blob on to whoever unpacks it, writes it down, and verifies it.
struct Tee<'t> {
    reader: VerifiedReader,
    ingest: Option<Box<dyn Ingest + 't>>,
    watch: &'t dyn LayerProgress,
    cancel: &'t Cancel,
    failure: Option<EngineError>,
    digest: Digest,
}

impl Tee<'_> {
    fn pass(&mut self, buf: &mut [u8]) -> Result<usize, EngineError> {
        if self.cancel.is_set() {
            return Err(EngineError::Interrupted);
        }
        let n = self.reader.read(buf).map_err(|e| StoreError::from_read(&self.digest, e))?;
        if let Some(ingest) = &mut self.ingest {
            ingest.write_all(&buf[..n]).map_err(|e| StoreError::io("write", &self.digest, e))?;
        }
        self.watch.advance(n as u64);
        Ok(n)
    }

    /// Reads what the decoder left behind, so that the blob is whole.
    fn drain(&mut self) -> Result<(), EngineError> {
        let mut scrap = vec![0; 256 * 1024];
        while self.pass(&mut scrap)? > 0 {}
        Ok(())
    }

    fn commit(self) -> Result<(), EngineError> {
        let proof = self.reader.finish()?;
        if let Some(ingest) = self.ingest {
            ingest.commit(proof)?;
        }
        Ok(())
    }

    /// The root cause of an error in unpacking: what reading met, else a blob that is not what its digest says, else
    /// the error itself.
    fn explain(mut self, error: EngineError) -> EngineError {
        if let Some(failure) = self.failure.take() {
            return failure;
        }
        let about_bytes = dhow_spec::Classify::kind(&error) == dhow_spec::Kind::Corrupt;
        self.ingest = None;
        match about_bytes.then(|| self.drain()) {
            Some(Err(cause)) => cause,
            _ => error,
        }
    }
}

impl Read for Tee<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.pass(buf).map_err(|e| {
            let text = e.to_string();
            self.failure.get_or_insert(e);
            io::Error::other(text)
        })
    }
}

pub(super) fn remove(work: &Path) -> Result<(), EngineError> {
    let error = |e| EngineError::io("remove", work.display(), e);
    let (Some(parent), Some(name)) = (work.parent(), work.file_name()) else { return Ok(()) };
    let parent = std::fs::File::open(parent).map_err(error)?;
    dhow_sys::tree::remove_all(std::os::fd::AsFd::as_fd(&parent), name).map_err(error)
}

pub(super) fn keep_free(state: &State) -> u64 {
    let size = rustix::fs::statvfs(state.root()).map_or(0, |s| s.f_blocks.saturating_mul(s.f_frsize));
    KEEP_FREE.min(size / 20)
}

/// The chain id of a layer on top of a stack (OCI image-spec `config.md#layer-chainid`).
pub(crate) fn chain_id(below: Option<&Digest>, diff_id: &Digest) -> Digest {
    match below {
        None => diff_id.clone(),
        Some(below) => Digest::of(format!("{below} {diff_id}").as_bytes()),
    }
}

fn layers(manifest: &dhow_spec::ImageManifest, config: &ImageConfig) -> Result<Vec<Layer>, EngineError> {
    let mut chain: Option<Digest> = None;
    let mut layers = Vec::new();
    for (descriptor, diff_id) in manifest.layers().iter().zip(&config.rootfs.diff_ids) {
        let blob = Descriptor::of(descriptor).map_err(StoreError::from)?;
        if !media_type::is_layer(&blob.media_type) {
            return Err(EngineError::Invalid {
                problem: format!("{} is no container image: it has a part of type {:?}", blob.digest, blob.media_type),
                hint: Some("artifacts other than images cannot be loaded".to_owned()),
            });
        }
        let chain_id = chain_id(chain.as_ref(), diff_id);
        layers.push(Layer { blob, diff_id: diff_id.clone(), bottom: chain.is_none(), chain_id: chain_id.clone() });
        chain = Some(chain_id);
    }
    Ok(layers)
}

/// The row of an image over these layers, bottom first.
pub(super) fn image_row(blob: &Descriptor, config: &ImageConfig, layers: &[Present], now: Timestamp) -> ImageRow {
    let created = config.created.as_deref().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    ImageRow {
        id: blob.digest.clone(),
        config_size: blob.size,
        os: config.os.clone(),
        architecture: config.architecture.clone(),
        variant: config.variant.clone(),
        created: created.and_then(|t| Timestamp::try_from(t.as_nanosecond()).ok()),
        loaded: now,
        size: layers.iter().map(|l| l.size).sum(),
        labels: config.config.labels.clone(),
        layers: layers.iter().map(|l| l.key.clone()).collect(),
    }
}
