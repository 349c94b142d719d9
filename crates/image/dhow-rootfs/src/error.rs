//! What can go wrong in this crate. Each variant names the operation, the entry or path, and the source.

use crate::tar::TarError;
use dhow_spec::error_kind::{Classify, Kind, kind_of_io};
use std::io;
use std::path::PathBuf;

/// Every failure of this crate.
#[derive(Debug, thiserror::Error)]
pub enum RootfsError {
    /// The stream that the layer comes from failed. The source is the error of that stream, untouched.
    #[error("cannot read the layer after {offset} bytes: {source}")]
    Read {
        /// Bytes of the tar stream read before.
        offset: u64,
        /// The stream's own error.
        source: io::Error,
    },
    /// The archive is damaged, cut short, of an unknown kind, or beyond a limit.
    #[error("bad layer archive: {0}")]
    Archive(#[from] TarError),
    /// An entry asks for something that a layer may not hold.
    #[error("layer entry {entry:?}: {why}")]
    Entry {
        /// The path as the archive has it.
        entry: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A hard link whose target is neither in the layer nor below it.
    #[error("layer entry {entry:?}: hard link to {target:?}, which does not exist")]
    MissingTarget {
        /// The path as the archive has it.
        entry: PathBuf,
        /// The target as the archive has it.
        target: PathBuf,
    },
    /// The file system refused an operation for an entry.
    #[error("cannot {operation} for layer entry {entry:?}: {source}")]
    Apply {
        /// What was tried.
        operation: &'static str,
        /// The path as the archive has it.
        entry: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file system cannot hold an extended attribute of an entry.
    #[error(
        "cannot set extended attribute {name:?} of layer entry {entry:?} on this {file_system} file system: {source}"
    )]
    Xattr {
        /// The path as the archive has it.
        entry: PathBuf,
        /// The attribute.
        name: String,
        /// The kind of file system, as its magic number names it.
        file_system: String,
        /// Why not.
        source: io::Error,
    },
    /// The disk or the quota is full, or would be.
    #[error("no space left on the device while unpacking {entry:?}")]
    NoSpace {
        /// The path as the archive has it.
        entry: PathBuf,
        /// The error that said so; none when the reserve of [`Limits::keep_free`](crate::Limits) was reached.
        source: Option<io::Error>,
    },
    /// The directory to unpack into cannot be used.
    #[error("cannot {operation} the layer directory: {source}")]
    Tree {
        /// What was tried.
        operation: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// A lower layer cannot be looked at.
    #[error("cannot {operation} {path:?} in a lower layer: {source}")]
    Below {
        /// What was tried.
        operation: &'static str,
        /// The path, from the root of the layer or of the host.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl Classify for RootfsError {
    fn kind(&self) -> Kind {
        match self {
            RootfsError::Archive(e) => e.kind(),
            RootfsError::Entry { .. } | RootfsError::MissingTarget { .. } => Kind::Invalid,
            RootfsError::NoSpace { .. } => Kind::Unavailable,
            RootfsError::Xattr { source, .. } if is_full(source) => Kind::Unavailable,
            RootfsError::Xattr { source, .. } => match source.raw_os_error() {
                Some(code) if code == rustix::io::Errno::OPNOTSUPP.raw_os_error() => Kind::Unsupported,
                _ => kind_of_io(source),
            },
            RootfsError::Read { source, .. }
            | RootfsError::Apply { source, .. }
            | RootfsError::Tree { source, .. }
            | RootfsError::Below { source, .. } => kind_of_io(source),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            RootfsError::NoSpace { .. } => Some("free space under the data root, or move it with --root".into()),
            RootfsError::Apply { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some("run as root: device nodes and foreign owners need privileges".into())
            }
            RootfsError::Xattr { .. } => {
                Some("keep the data root on a file system with extended attributes (ext4, xfs, btrfs), as root".into())
            }
            _ => None,
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
