//! What can go wrong with snapshots.

use crate::mount_plan::MountPlanError;
use dhow_spec::error_kind::{Classify, Kind, kind_of_io};
use std::io;
use std::path::PathBuf;

/// Every failure of snapshots.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// An id that is no plain name.
    #[error("{id:?} cannot name a snapshot: use letters, digits, `_`, `.` and `-`, at most 128")]
    BadId {
        /// The id.
        id: String,
    },
    /// The id is taken.
    #[error("snapshot {id:?} exists already")]
    Exists {
        /// The id.
        id: String,
    },
    /// Nothing was prepared under this id, or somebody removed it.
    #[error("no snapshot {id:?}")]
    Missing {
        /// The id.
        id: String,
    },
    /// It is mounted: by this process, or another.
    #[error("snapshot {id:?} is in use")]
    InUse {
        /// The id.
        id: String,
    },
    /// It cannot be mounted.
    #[error(transparent)]
    Mount(#[from] MountPlanError),
    /// The file system refused something.
    #[error("cannot {operation} {path:?}: {source}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// Where: from the root of the host, or of a layer while layers are being merged.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl SnapshotError {
    /// For `map_err` behind a file operation.
    pub(super) fn io<E: Into<io::Error>>(
        operation: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(E) -> SnapshotError {
        let path = path.into();
        move |source| SnapshotError::Io { operation, path, source: source.into() }
    }
}

impl Classify for SnapshotError {
    fn kind(&self) -> Kind {
        match self {
            SnapshotError::BadId { .. } => Kind::Invalid,
            SnapshotError::Exists { .. } | SnapshotError::InUse { .. } => Kind::Conflict,
            SnapshotError::Missing { .. } => Kind::NotFound,
            SnapshotError::Mount(source) => source.kind(),
            SnapshotError::Io { source, .. } => kind_of_io(source),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            SnapshotError::InUse { .. } => Some("stop what uses it first".into()),
            SnapshotError::Mount(source) => source.hint(),
            SnapshotError::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                Some("free space under the data root".into())
            }
            _ => None,
        }
    }
}
