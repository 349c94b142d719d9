//! One layer into one directory.

use crate::{Below, Entry, Limits, RootfsError};
use dhow_spec::digest::Digest;
use dhow_sys::tree::Tree;
use std::io::Read;
use std::path::PathBuf;

/// What to do with a layer.
pub struct UnpackJob<'a> {
    /// The layers beneath, for a layer that is not whole by itself; `None` unpacks it alone.
    pub below: Option<&'a Below>,
    /// Nothing can be below: parents that the archive does not name are then simply 0755 and root's.
    pub bottom: bool,
    /// Compute the digest of the tar stream, on a thread of its own. `false` when the caller knows it.
    pub hash: bool,
    /// Told of each entry and of progress.
    pub observer: &'a mut dyn Observer,
    /// What the archive may ask for.
    pub limits: Limits,
}

/// What came of a layer.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It lies in the tree.
    Unpacked(Unpacked),
    /// It is not whole by itself: unpack it again into a new tree, with [`UnpackJob::below`]. The stream has
    /// been read to its end all the same; what is in the tree is of no use.
    NeedsBelow {
        /// The first parent that the archive does not name, or hard link target that it does not hold.
        path: PathBuf,
    },
}

/// An unpacked layer.
#[derive(Debug, PartialEq, Eq)]
pub struct Unpacked {
    /// The digest of the tar stream, when it was asked for.
    pub diff_id: Option<Digest>,
    /// Bytes of file content; a sparse file counts as long as it reads.
    pub size: u64,
    /// Entries of the archive.
    pub entries: u64,
    /// The result depends on nothing but the archive, so it may be shared wherever the diff id occurs.
    pub whole: bool,
}

/// Watches a layer while it is unpacked. Called on the thread that called [`unpack`].
pub trait Observer {
    /// An entry has been read and is about to be applied.
    fn entry(&mut self, entry: &Entry) {
        let _ = entry;
    }

    /// So many more bytes of the tar stream are done with.
    fn bytes(&mut self, n: u64) {
        let _ = n;
    }
}

/// Watches nothing.
#[derive(Debug, Default)]
pub struct NoObserver;

impl Observer for NoObserver {}

/// Unpacks the plain tar stream `tar` into the empty directory `tree`.
///
/// # Errors
/// [`RootfsError`]; what is in the tree is then of no use.
pub fn unpack<R: Read + Send>(tar: &mut R, tree: &Tree, job: UnpackJob<'_>) -> Result<Outcome, RootfsError> {
    let _ = (tar, tree, job);
    unreachable!()
}
