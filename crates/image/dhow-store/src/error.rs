//! Errors of moving bytes: each names the operation, the object and the source.

use dhow_spec::document::DocumentError;
use dhow_spec::error_kind::kind_of_io;
use dhow_spec::{Classify, Digest, DigestError, Kind};
use dhow_state::StateError;
use std::io;

/// What can go wrong between a source and a sink.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A source does not hold a blob that a document refers to.
    #[error("{place} does not contain {digest}")]
    BlobMissing {
        /// The source.
        place: String,
        /// The blob.
        digest: Digest,
    },
    /// The bytes are not those that the digest stands for.
    #[error("content is corrupt: expected {expected}, got {found}")]
    DigestMismatch {
        /// Digest in the descriptor.
        expected: Digest,
        /// Digest of the bytes.
        found: Digest,
    },
    /// There are fewer or more bytes than the descriptor declares.
    #[error("{digest} is {} than the {declared} bytes that it is declared to have", if *.longer { "longer" } else { "shorter" })]
    SizeMismatch {
        /// The blob.
        digest: Digest,
        /// Size in the descriptor, in bytes.
        declared: u64,
        /// Longer rather than shorter.
        longer: bool,
    },
    /// A proof for one blob was offered for another: a bug.
    #[error("internal error: proof of {found} offered for {expected}")]
    ProofMismatch {
        /// The blob to commit.
        expected: Digest,
        /// The blob that was read.
        found: Digest,
    },
    /// A name stands for nothing.
    #[error("no such image: {0}")]
    NoSuchName(String),
    /// An archive is no image archive, or lacks a part.
    #[error("{archive}: {problem}")]
    Archive {
        /// File name, or "standard input".
        archive: String,
        /// What is wrong with it.
        problem: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// A compression that dhow does not read.
    #[error("{what} is compressed with {format}, which is not supported (gzip and zstd are)")]
    Compression {
        /// The archive or layer.
        what: String,
        /// Its compression.
        format: &'static str,
    },
    /// A document of an image is invalid.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// A digest cannot be used.
    #[error(transparent)]
    Digest(#[from] DigestError),
    /// The store's state refused.
    #[error(transparent)]
    State(#[from] StateError),
    /// Reading or writing failed.
    #[error("cannot {operation} {object}: {source}")]
    Io {
        /// What was being done.
        operation: &'static str,
        /// The file or blob.
        object: String,
        /// Why it failed.
        source: io::Error,
    },
}

impl StoreError {
    /// An I/O error with its operation and object.
    pub fn io(operation: &'static str, object: impl ToString, source: io::Error) -> StoreError {
        StoreError::Io { operation, object: object.to_string(), source }
    }

    /// The error that came through a `Read`: one of ours when a [`crate::VerifiedReader`] raised it.
    pub fn from_read(digest: &Digest, error: io::Error) -> StoreError {
        match error.downcast::<StoreError>() {
            Ok(ours) => ours,
            Err(error) => StoreError::io("read", digest, error),
        }
    }
}

impl Classify for StoreError {
    fn kind(&self) -> Kind {
        match self {
            StoreError::BlobMissing { .. } | StoreError::DigestMismatch { .. } | StoreError::SizeMismatch { .. } => {
                Kind::Corrupt
            }
            StoreError::ProofMismatch { .. } => Kind::Internal,
            StoreError::NoSuchName(_) => Kind::NotFound,
            StoreError::Archive { .. } | StoreError::Digest(_) => Kind::Invalid,
            StoreError::Compression { .. } => Kind::Unsupported,
            StoreError::Document(e) => e.kind(),
            StoreError::State(e) => e.kind(),
            StoreError::Io { source, .. } => kind_of_io(source),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            StoreError::BlobMissing { .. } | StoreError::DigestMismatch { .. } | StoreError::SizeMismatch { .. } => {
                Some("the archive is damaged or incomplete: make or fetch it again".into())
            }
            StoreError::Archive { hint, .. } => hint.clone(),
            StoreError::Compression { .. } => Some("decompress it first, for example: xz -dc FILE | dhow load".into()),
            StoreError::Document(e) => e.hint(),
            StoreError::State(e) => e.hint(),
            _ => None,
        }
    }
}
