//! What can be wrong with a document, and how that is said.

use super::MAX_SIZE;
use crate::digest::{Digest, DigestError};
use crate::error_kind::{Classify, Kind};
use std::fmt;

/// The kinds of document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Document {
    /// A manifest.
    Manifest,
    /// An index or manifest list.
    Index,
    /// A manifest or an index: it was not yet known which.
    Root,
    /// The configuration of an image.
    Config,
    /// The list of images in a docker archive.
    ArchiveManifest,
    /// The index of an OCI layout.
    LayoutIndex,
    /// The version file of an OCI layout.
    Layout,
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Document::Manifest => "manifest",
            Document::Index => "index",
            Document::Root => "manifest or index",
            Document::Config => "image configuration",
            Document::ArchiveManifest => "manifest.json",
            Document::LayoutIndex => "index.json",
            Document::Layout => "oci-layout",
        })
    }
}

/// A document that cannot be used: which one, and why.
#[derive(Debug, thiserror::Error)]
#[error("{document}{}: {fault}", .digest.as_ref().map(|d| format!(" {d}")).unwrap_or_default())]
pub struct DocumentError {
    /// What it was read as.
    pub document: Document,
    /// The SHA-256 of its bytes; none for the files of an archive, which have names.
    pub digest: Option<Digest>,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What can be wrong with a document.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// It is larger than [`MAX_SIZE`].
    #[error("it has {0} bytes, more than the limit of {MAX_SIZE}")]
    TooLarge(usize),
    /// It is no JSON, or not of the right shape.
    #[error("it cannot be decoded: {0}")]
    Json(#[from] serde_json::Error),
    /// It is of a version that is not read.
    #[error("schema version {} instead of 2", .0.map_or("missing".to_owned(), |v| v.to_string()))]
    SchemaVersion(Option<i64>),
    /// It calls itself something else.
    #[error("its media type is {found:?} instead of {expected}")]
    MediaType {
        /// The media type that it has.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// It is manifest and index at once, so that two programs could run two different images under one digest.
    #[error("it is a manifest and an index at once: it has {0:?}")]
    Ambiguous(&'static str),
    /// A field that must be there is not.
    #[error("it has no {0:?}")]
    Missing(&'static str),
    /// A descriptor has an unusable digest.
    #[error("{at}: {source}")]
    Digest {
        /// The descriptor.
        at: String,
        /// What is wrong with its digest.
        source: DigestError,
    },
    /// A descriptor has a size that no file can have.
    #[error("{at}: a size of {size} bytes is not possible")]
    Size {
        /// The descriptor.
        at: String,
        /// The size.
        size: u64,
    },
    /// The root file system is not made of layers.
    #[error("its rootfs is of type {0:?} instead of \"layers\"")]
    RootFs(String),
    /// Manifest and configuration disagree.
    #[error("it lists {diff_ids} layers, and its manifest {layers}")]
    LayerCount {
        /// Layers of the manifest.
        layers: usize,
        /// Layers of the configuration.
        diff_ids: usize,
    },
    /// A path would lead out of the archive, or is empty.
    #[error("{0:?} is no path within the archive")]
    Path(String),
    /// An OCI layout of another version.
    #[error("image layout version {0:?} instead of \"1.0.0\"")]
    LayoutVersion(String),
}

impl Classify for DocumentError {
    fn kind(&self) -> Kind {
        match self.fault {
            Fault::SchemaVersion(_)
            | Fault::LayoutVersion(_)
            | Fault::Digest { source: DigestError::Algorithm(_), .. } => Kind::Unsupported,
            _ => Kind::Invalid,
        }
    }

    fn hint(&self) -> Option<String> {
        match self.fault {
            Fault::SchemaVersion(Some(1)) => {
                Some("Convert the image to schema 2, which every registry and tool since 2016 writes".to_owned())
            }
            _ => None,
        }
    }
}
