//! The rows of the ledger as plain values, and the small identifiers they are named by.
//!
//! Must not know SQL or the file system: `read` and `write` translate. Field names follow the OCI image
//! specification where it has one.

mod networks;

pub use networks::{AddressRow, Claim, EndpointRow, NetworkRow, PortRow};

use dhow_spec::Digest;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// Nanoseconds since the Unix epoch. This crate never reads the clock; whoever calls does.
pub type Timestamp = i64;

/// Where a store lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// The data root: everything that outlives a reboot.
    pub root: PathBuf,
    /// The run root: locks and whatever else ends with the boot.
    pub run_root: PathBuf,
}

/// What an open store is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Queries only. Creates nothing, not even lock files; a missing store reads as an empty one.
    ReadOnly,
    /// Queries and changes. Creates the store when it is missing, and recovers after crashes.
    ReadWrite,
}

/// What a committed transaction survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// The death of any process, at any instruction. Costs no disk flush.
    Crash,
    /// A power cut as well. Costs one flush of the write-ahead log.
    PowerCut,
}

/// What an object lock protects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ObjectKind {
    /// One container, by its id.
    Container,
    /// One unpacked layer, by its key.
    Layer,
    /// One blob, by its digest.
    Blob,
    /// One image, by its id or name.
    Image,
    /// One network, by its id, or what all of a store's networks share.
    Network,
}

impl ObjectKind {
    /// The word in the name of the lock file.
    pub fn name(self) -> &'static str {
        match self {
            ObjectKind::Container => "container",
            ObjectKind::Layer => "layer",
            ObjectKind::Blob => "blob",
            ObjectKind::Image => "image",
            ObjectKind::Network => "network",
        }
    }
}

/// The name of an operation: 16 hex digits, random, also the name of its work directory.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OperationId(pub(crate) u64);

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An operation as the ledger records it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationRow {
    /// Its name.
    pub id: OperationId,
    /// What it does: `load`, `remove`, ...
    pub kind: String,
    /// The process that runs it.
    pub owner: dhow_sys::process::ProcessIdentity,
    /// When it began.
    pub begun: Timestamp,
}

/// A file below `blobs/`, of which the bytes were verified against the digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobRow {
    /// The digest of the bytes.
    pub digest: Digest,
    /// Length in bytes.
    pub size: u64,
}

/// A directory below `layers/`: one unpacked layer in the format of an overlayfs lower directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerRow {
    /// Its name: the diff id, or the chain id when the layer is not whole by itself.
    pub key: Digest,
    /// The digest of the uncompressed tar that it was unpacked from.
    pub diff_id: Digest,
    /// Whether it was unpacked without looking at the layers below it.
    pub whole: bool,
    /// Bytes of file content.
    pub size: u64,
    /// Entries of the tar.
    pub entries: u64,
}

/// An image: its configuration, and the layers that its root file system is stacked from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageRow {
    /// The digest of the configuration.
    pub id: Digest,
    /// Length of the configuration in bytes.
    pub config_size: u64,
    /// Operating system.
    pub os: String,
    /// CPU architecture.
    pub architecture: String,
    /// Variant of the architecture.
    pub variant: Option<String>,
    /// When it was made, as its configuration says.
    pub created: Option<Timestamp>,
    /// When it came into this store.
    pub loaded: Timestamp,
    /// Bytes of content of all its layers.
    pub size: u64,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The keys of its layers, bottom first.
    pub layers: Vec<Digest>,
}

/// An image without its layers: what a list shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageHead {
    /// The digest of the configuration.
    pub id: Digest,
    /// Length of the configuration in bytes.
    pub config_size: u64,
    /// Operating system.
    pub os: String,
    /// CPU architecture.
    pub architecture: String,
    /// Variant of the architecture.
    pub variant: Option<String>,
    /// When it was made, as its configuration says.
    pub created: Option<Timestamp>,
    /// When it came into this store.
    pub loaded: Timestamp,
    /// Bytes of content of all its layers.
    pub size: u64,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

impl ImageHead {
    /// The whole row, given the keys of its layers.
    pub fn with_layers(self, layers: Vec<Digest>) -> ImageRow {
        ImageRow {
            id: self.id,
            config_size: self.config_size,
            os: self.os,
            architecture: self.architecture,
            variant: self.variant,
            created: self.created,
            loaded: self.loaded,
            size: self.size,
            labels: self.labels,
            layers,
        }
    }
}

/// A manifest under which an image came into the store. One image may have several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestRow {
    /// The digest of the manifest.
    pub digest: Digest,
    /// The image it describes.
    pub image: Digest,
    /// Its media type.
    pub media_type: String,
    /// Its length in bytes.
    pub size: u64,
    /// The layer blobs it names, bottom first.
    pub blobs: Vec<Digest>,
}

/// A name of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagRow {
    /// The canonical name: `docker.io/library/nginx:1.27`.
    pub name: String,
    /// The image it names.
    pub image: Digest,
    /// The manifest it names.
    pub manifest: Digest,
    /// When the name was given.
    pub tagged: Timestamp,
}

/// One line of a list of images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSummary {
    /// The image.
    pub image: ImageHead,
    /// Its names, sorted.
    pub tags: Vec<TagRow>,
    /// Its manifests, sorted by digest.
    pub manifests: Vec<Digest>,
}

/// A container. What it runs and where it is in its life are the caller's words; the ledger knows names and references.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerRow {
    /// 64 lower-case hex digits, random; also the name of its directory.
    pub id: String,
    /// Its name, without a slash. No two containers have the same.
    pub name: String,
    /// The image that it was made from, which stays as long as the container.
    pub image: Option<Digest>,
    /// When it was made.
    pub created: Timestamp,
    /// Its control group, relative to the root of the hierarchies: known before there is a process in it.
    pub cgroup: String,
    /// What was asked for, JSON. Never changes.
    pub config: String,
    /// One more with each change: what [`crate::Write::change_container`] compares.
    pub generation: u64,
    /// The operation that removes it. None, though the status says so: that operation was broken off.
    pub removal: Option<OperationId>,
    /// Where it is in its life.
    pub state: ContainerState,
}

/// What changes about a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContainerState {
    /// The caller's word for it.
    pub status: String,
    /// The process that the status depends on: the first of the container, or whoever is starting it.
    pub process: Option<dhow_sys::process::ProcessIdentity>,
    /// When it was last started.
    pub started: Option<Timestamp>,
    /// When it last ended.
    pub finished: Option<Timestamp>,
    /// How it last ended; none when nobody can tell.
    pub exit_code: Option<i32>,
    /// Whether something in it was killed for want of memory.
    pub oom_killed: bool,
    /// Why its last start failed, or what was lost; may be empty.
    pub error: String,
    /// How often it was started again by itself.
    pub restart_count: u32,
    /// How long it waited, or waits, before it was started again: nanoseconds.
    pub backoff: u64,
    /// Whether somebody stopped it, so that it is not to start again by itself.
    pub stopped: bool,
    /// Whether it stays at its end although it was to be removed: somebody is about to start it again.
    pub kept: bool,
}

/// What the store holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// How many blobs, and their bytes.
    pub blobs: (u64, u64),
    /// How many layers, and the bytes of their files' content.
    pub layers: (u64, u64),
    /// How many images.
    pub images: u64,
    /// How many containers.
    pub containers: u64,
}

/// What garbage was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ContentKind {
    /// A file below `blobs/`.
    Blob,
    /// A directory below `layers/`.
    Layer,
}

impl ContentKind {
    /// The word in the ledger and in messages.
    pub fn name(self) -> &'static str {
        match self {
            ContentKind::Blob => "blob",
            ContentKind::Layer => "layer",
        }
    }
}

/// What an operation may have to clean up.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Planned {
    /// A blob or layer.
    Content(ContentKind, Digest),
    /// The directory of a container.
    Container(String),
}

/// A blob or layer that nothing refers to any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Garbage {
    /// What it was.
    pub kind: ContentKind,
    /// The digest of the blob, or the key of the layer.
    pub digest: Digest,
    /// Bytes set free.
    pub size: u64,
}

/// The place of an event in the journal. Later events have greater ones; none is used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventSeq(pub i64);

impl EventSeq {
    /// Before the first event.
    pub const START: EventSeq = EventSeq(0);
}

/// An event to record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// When it happened.
    pub time: Timestamp,
    /// What it happened to: `image`, `container`, ...
    pub kind: &'static str,
    /// What happened: `load`, `tag`, `delete`, `exec_create: sh -c ls`, ...
    pub action: Cow<'static, str>,
    /// The id or name of what it happened to.
    pub actor: String,
    /// More about it.
    pub attributes: BTreeMap<String, String>,
}

/// An event of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its place.
    pub seq: EventSeq,
    /// When it happened.
    pub time: Timestamp,
    /// What it happened to: `image`, `container`, ...
    pub kind: String,
    /// What happened: `load`, `tag`, `delete`, ...
    pub action: String,
    /// The id or name of what it happened to.
    pub actor: String,
    /// More about it.
    pub attributes: BTreeMap<String, String>,
}
