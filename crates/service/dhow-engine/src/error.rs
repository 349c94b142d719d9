//! Errors of use cases.

use dhow_network::NetworkError;
use dhow_network::ipam::IpamError;
use dhow_network::ports::PortError;
use dhow_network::resolver::control::ControlError;
use dhow_rootfs::RootfsError;
use dhow_rootfs::snapshots::SnapshotError;
use dhow_runtime::RuntimeError;
use dhow_spec::document::DocumentError;
use dhow_spec::error_kind::kind_of_io;
use dhow_spec::{Classify, Digest, Kind, ReferenceError};
use dhow_state::StateError;
use dhow_store::StoreError;
use dhow_supervisor::client::ClientError;
use dhow_sys::mount::MountError;
use std::io;
use std::path::{Path, PathBuf};

/// What can go wrong in a use case.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// No image has this name or id.
    #[error("No such image: {0}")]
    NoSuchImage(String),
    /// No container has this name or id.
    #[error("No such container: {0}")]
    NoSuchContainer(String),
    /// No network has this name or id.
    #[error("network {0} not found")]
    NoSuchNetwork(String),
    /// A container could not be started.
    #[error("{message}")]
    Start {
        /// docker's exit status of `run`: 125, 126 (cannot be executed) or 127 (not found).
        status: u8,
        /// Why.
        message: String,
    },
    /// What is wanted is still held by what has just ended: to be tried again, for a while.
    #[error("{0}")]
    Busy(Box<EngineError>),
    /// A container is in a state in which this cannot be done.
    #[error("{message}")]
    Conflict {
        /// What is in the way.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
    /// A short id fits several images.
    #[error("image id {prefix} is ambiguous: {candidates}")]
    AmbiguousId {
        /// What was typed.
        prefix: String,
        /// Some that it fits.
        candidates: String,
    },
    /// An image has several names, and was to be removed by its id.
    #[error("unable to delete {id} (must be forced) - image is referenced in multiple repositories")]
    SeveralNames {
        /// Short id.
        id: String,
    },
    /// A layer's content is not what the image's configuration says.
    #[error("layer {blob} is corrupt: its content is {found}, the image's configuration says {expected}")]
    DiffId {
        /// Digest of the blob.
        blob: Digest,
        /// Diff id in the configuration.
        expected: Digest,
        /// Diff id of the content.
        found: Digest,
    },
    /// Unpacking a layer failed.
    #[error("cannot unpack layer {layer}: {source}")]
    Unpack {
        /// Digest of the blob.
        layer: Digest,
        /// Why.
        source: RootfsError,
    },
    /// The root filesystem to import cannot be unpacked.
    #[error("cannot import {archive}: {source}")]
    Import {
        /// Where it comes from.
        archive: String,
        /// Why.
        source: RootfsError,
    },
    /// What was asked for makes no sense.
    #[error("{problem}")]
    Invalid {
        /// What is wrong with the request.
        problem: String,
        /// What to ask for instead.
        hint: Option<String>,
    },
    /// The disk of the store is full, or would be.
    #[error("no space left on {}: {source}", .root.display())]
    NoSpace {
        /// The data root.
        root: PathBuf,
        /// What was being written.
        source: Box<EngineError>,
    },
    /// It was asked to stop.
    #[error("interrupted; nothing was changed")]
    Interrupted,
    /// A name is no image reference.
    #[error("{0}")]
    Reference(#[from] ReferenceError),
    /// A document of an image is invalid.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// The row of a container, or the spec of its last start, cannot be read.
    #[error("the record of container {id} is damaged: {source}")]
    BadContainer {
        /// The container.
        id: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The row of a network cannot be read.
    #[error("the record of network {name} is damaged: {source}")]
    BadNetwork {
        /// Its name.
        name: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// Links, addresses, routes, the firewall.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// Subnets and who gets which address.
    #[error(transparent)]
    Ipam(#[from] IpamError),
    /// Published ports.
    #[error(transparent)]
    Port(#[from] PortError),
    /// The resolver of a network.
    #[error(transparent)]
    Resolver(#[from] ControlError),
    /// The runtime.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The supervisor.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A root filesystem.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// A mount.
    #[error(transparent)]
    Mount(#[from] MountError),
    /// The store of bytes.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store's state.
    #[error(transparent)]
    State(#[from] StateError),
    /// Reading or writing failed.
    #[error("cannot {operation} {object}: {source}")]
    Io {
        /// What was being done.
        operation: &'static str,
        /// The file.
        object: String,
        /// Why it failed.
        source: io::Error,
    },
}

impl EngineError {
    /// Names the disk of the store, when that is what was full.
    pub(crate) fn on_disk(self, root: &Path) -> EngineError {
        let full = match &self {
            EngineError::Unpack { source, .. } | EngineError::Import { source, .. } => {
                matches!(source, RootfsError::NoSpace { .. })
            }
            EngineError::Store(StoreError::Io { source, .. })
            | EngineError::Snapshot(SnapshotError::Io { source, .. })
            | EngineError::Io { source, .. } => {
                matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
            _ => false,
        };
        match full {
            true => EngineError::NoSpace { root: root.to_owned(), source: Box::new(self) },
            false => self,
        }
    }

    /// Whether a disk was full.
    pub(crate) fn is_full(&self) -> bool {
        let full = |e: &io::Error| matches!(e.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        match self {
            EngineError::NoSpace { .. } | EngineError::State(StateError::NoSpace { .. }) => true,
            EngineError::Io { source, .. } | EngineError::State(StateError::Io { source, .. }) => full(source),
            _ => false,
        }
    }

    /// An I/O error with its operation and object.
    pub fn io(operation: &'static str, object: impl ToString, source: io::Error) -> EngineError {
        EngineError::Io { operation, object: object.to_string(), source }
    }
}

impl Classify for EngineError {
    fn kind(&self) -> Kind {
        match self {
            EngineError::NoSuchImage(_) | EngineError::NoSuchContainer(_) | EngineError::NoSuchNetwork(_) => {
                Kind::NotFound
            }
            EngineError::Start { .. } => Kind::Internal,
            EngineError::Conflict { .. } => Kind::Conflict,
            EngineError::Busy(e) => e.kind(),
            EngineError::Port(e) => e.kind(),
            EngineError::BadContainer { .. } | EngineError::BadNetwork { .. } => Kind::Corrupt,
            EngineError::Network(e) => e.kind(),
            EngineError::Ipam(e) => e.kind(),
            EngineError::Resolver(_) => Kind::Internal,
            EngineError::Runtime(e) => e.kind(),
            EngineError::Client(ClientError::Runtime(e)) => e.kind(),
            EngineError::Client(ClientError::NotRunning) => Kind::Conflict,
            EngineError::Client(_) => Kind::Internal,
            EngineError::Snapshot(e) => e.kind(),
            EngineError::Mount(e) => kind_of_io(&e.source),
            EngineError::AmbiguousId { .. } | EngineError::SeveralNames { .. } => Kind::Conflict,
            EngineError::Invalid { .. } | EngineError::Reference(_) => Kind::Invalid,
            EngineError::DiffId { .. } => Kind::Corrupt,
            EngineError::NoSpace { .. } | EngineError::Interrupted => Kind::Unavailable,
            EngineError::Unpack { source, .. } | EngineError::Import { source, .. } => source.kind(),
            EngineError::Document(e) => e.kind(),
            EngineError::Store(e) => e.kind(),
            EngineError::State(e) => e.kind(),
            EngineError::Io { source, .. } => kind_of_io(source),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            EngineError::NoSuchImage(_) => Some("list what there is with: dhow images".into()),
            EngineError::NoSuchContainer(_) => Some("list what there is with: dhow ps -a".into()),
            EngineError::NoSuchNetwork(_) => Some("list what there is with: dhow network ls".into()),
            EngineError::Network(e) => e.hint(),
            EngineError::Ipam(e) => e.hint(),
            EngineError::Conflict { hint, .. } => hint.clone(),
            EngineError::Snapshot(e) => e.hint(),
            EngineError::Runtime(e) => e.hint(),
            EngineError::BadContainer { .. } => Some("remove it with: dhow rm -f".into()),
            EngineError::AmbiguousId { .. } => Some("give more characters of the id".into()),
            EngineError::SeveralNames { .. } => Some("remove its names one by one, or all at once with -f".into()),
            EngineError::DiffId { .. } => Some("the archive is damaged: make or fetch it again".into()),
            EngineError::NoSpace { .. } => Some(
                "free some there, for example with: dhow image prune, or keep the store elsewhere with --root".into(),
            ),
            EngineError::Invalid { hint, .. } => hint.clone(),
            EngineError::Unpack { source, .. } | EngineError::Import { source, .. } => source.hint(),
            EngineError::Document(e) => e.hint(),
            EngineError::Store(e) => e.hint(),
            EngineError::State(e) => e.hint(),
            _ => None,
        }
    }
}
