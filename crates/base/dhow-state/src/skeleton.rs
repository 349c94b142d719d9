//! The signatures; bodies follow.
#![allow(missing_docs, clippy::todo, unused_variables, dead_code)]

use crate::*;
use dhow_spec::Digest;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

pub struct State {
    m: std::sync::Mutex<rusqlite::Connection>,
}
pub struct Read<'a>(PhantomData<&'a ()>);
pub struct Write<'a>(Read<'a>);
impl<'a> std::ops::Deref for Write<'a> {
    type Target = Read<'a>;
    fn deref(&self) -> &Read<'a> {
        &self.0
    }
}
pub struct Operation<'s>(&'s State);
#[derive(Debug)]
pub struct ObjectLock(OwnedFd);
pub struct EventWatch(OwnedFd);
impl AsFd for EventWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
type R<T> = Result<T, StateError>;
impl EventWatch {
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> R<Vec<Event>> {
        todo!()
    }
}

#[derive(Debug, Clone, Copy, Default)]
pub struct CheckOptions {
    pub repair: bool,
    pub verify_blobs: bool,
}
#[derive(Debug, Clone)]
pub struct CheckReport {
    pub findings: Vec<Finding>,
}
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FindingKind {
    OrphanBlob,
    OrphanLayer,
    OrphanWork,
    MissingBlob,
    MissingLayer,
    WrongSize,
    WrongDigest,
    BrokenImage,
    DeadOperation,
    DamagedLedger,
    StaleLock,
    UnknownEntry,
}
impl FindingKind {
    pub fn name(self) -> &'static str {
        todo!()
    }
    pub fn hint(self) -> Option<&'static str> {
        todo!()
    }
}
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    Reported,
    Removed,
}
#[derive(Debug, Clone)]
pub struct Finding {
    pub kind: FindingKind,
    pub subject: String,
    pub path: Option<PathBuf>,
    pub bytes: u64,
    pub detail: String,
    pub done: Done,
}

impl State {
    pub fn open(places: &Places, access: Access) -> R<State> {
        todo!()
    }
    pub fn store_id(&self) -> &str {
        todo!()
    }
    pub fn root(&self) -> &Path {
        todo!()
    }
    pub fn run_root(&self) -> &Path {
        todo!()
    }
    pub fn read<T, E: From<StateError>>(&self, f: impl FnOnce(&Read<'_>) -> Result<T, E>) -> Result<T, E> {
        todo!()
    }
    pub fn write<T, E: From<StateError>>(
        &self,
        d: Durability,
        f: impl FnOnce(&Write<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        todo!()
    }
    pub fn lock(&self, kind: ObjectKind, key: &str) -> R<ObjectLock> {
        todo!()
    }
    pub fn try_lock(&self, kind: ObjectKind, key: &str) -> R<Option<ObjectLock>> {
        todo!()
    }
    pub fn begin(&self, kind: &'static str, now: Timestamp) -> R<Operation<'_>> {
        todo!()
    }
    pub fn watch_events(&self, after: EventSeq) -> R<EventWatch> {
        todo!()
    }
    pub fn check(&self, options: &CheckOptions, now: Timestamp) -> R<CheckReport> {
        todo!()
    }
    pub fn blob_path(&self, d: &Digest) -> PathBuf {
        todo!()
    }
    pub fn layer_path(&self, key: &Digest) -> PathBuf {
        todo!()
    }
}

impl Operation<'_> {
    pub fn id(&self) -> OperationId {
        todo!()
    }
    pub fn work(&self) -> &Path {
        todo!()
    }
    pub fn lease_blob(&self, d: &Digest) -> R<Option<BlobRow>> {
        todo!()
    }
    pub fn lease_layer(&self, key: &Digest) -> R<Option<LayerRow>> {
        todo!()
    }
    pub fn publish_blob(&self, from: &Path, row: &BlobRow) -> R<()> {
        todo!()
    }
    pub fn publish_layer(&self, from: &Path, row: &LayerRow) -> R<()> {
        todo!()
    }
    pub fn sync_published(&self) -> R<()> {
        todo!()
    }
    pub fn commit<T, E: From<StateError>>(
        self,
        d: Durability,
        f: impl FnOnce(&Write<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        todo!()
    }
}

impl Read<'_> {
    pub fn blob(&self, digest: &Digest) -> R<Option<BlobRow>> {
        todo!()
    }
    pub fn layer(&self, key: &Digest) -> R<Option<LayerRow>> {
        todo!()
    }
    pub fn layers_all(&self) -> R<Vec<LayerRow>> {
        todo!()
    }
    pub fn image(&self, id: &Digest) -> R<Option<ImageRow>> {
        todo!()
    }
    pub fn image_count(&self) -> R<u64> {
        todo!()
    }
    pub fn list_images(&self) -> R<Vec<ImageSummary>> {
        todo!()
    }
    pub fn images_by_hex_prefix(&self, prefix: &str) -> R<Vec<Digest>> {
        todo!()
    }
    pub fn tag(&self, name: &str) -> R<Option<TagRow>> {
        todo!()
    }
    pub fn tags_of(&self, image: &Digest) -> R<Vec<TagRow>> {
        todo!()
    }
    pub fn tags_with_prefix(&self, prefix: &str) -> R<Vec<TagRow>> {
        todo!()
    }
    pub fn manifest(&self, digest: &Digest) -> R<Option<ManifestRow>> {
        todo!()
    }
    pub fn manifests_of(&self, image: &Digest) -> R<Vec<ManifestRow>> {
        todo!()
    }
    pub fn images_using_layer(&self, key: &Digest) -> R<Vec<Digest>> {
        todo!()
    }
    pub fn usage(&self) -> R<Usage> {
        todo!()
    }
    pub fn events(&self, after: EventSeq, limit: usize) -> R<Vec<Event>> {
        todo!()
    }
    pub fn operations(&self) -> R<Vec<OperationRow>> {
        todo!()
    }
}

impl Write<'_> {
    pub fn put_image(&self, image: &ImageRow, manifest: &ManifestRow) -> R<()> {
        todo!()
    }
    pub fn set_tag(&self, tag: &TagRow) -> R<Option<TagRow>> {
        todo!()
    }
    pub fn delete_tag(&self, name: &str) -> R<Option<TagRow>> {
        todo!()
    }
    /// Whether it existed.
    pub fn delete_image(&self, id: &Digest) -> R<bool> {
        todo!()
    }
    pub fn delete_unused_manifests(&self, image: &Digest) -> R<Vec<Digest>> {
        todo!()
    }
    pub fn collect_garbage(&self, operation: OperationId) -> R<Vec<Garbage>> {
        todo!()
    }
    pub fn record_event(&self, event: &NewEvent) -> R<EventSeq> {
        todo!()
    }
}
