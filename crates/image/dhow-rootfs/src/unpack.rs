//! One layer into one directory, in the format of an overlayfs lower directory.
//!
//! What an archive means here, where its formats leave it open:
//! - Paths are relative to the root of the layer, whatever they begin with; `..` in one is an error. A parent that the
//!   layer holds as a symbolic link is followed inside the layer. Nothing is ever made outside of it.
//! - The last entry of a name wins. A file in the way of a directory, or the other way round, is removed with all
//!   beneath; a directory that comes again only gets new metadata.
//! - `.wh.NAME` removes what this layer has under that name and hides what is below. `.wh..wh..opq` hides what is below
//!   its directory and leaves what this layer has in it, whatever comes first. So does a directory that takes the place
//!   of something else of the same layer: had the layers been applied one on the other, it would begin empty.
//! - In the bottom layer, and where nothing shows through anyway, deletions leave no mark.
//! - `trusted.overlay.*` and `user.overlay.*` attributes are dropped and the device 0:0 is refused: those steer the
//!   kernel's overlayfs, which only this module may.
//!
//! **Whole layers.** A layer mostly names every directory that it touches. Where it does not, the directory must look
//! as it does below; and a hard link may point to a file below. Such a layer is not whole by itself: what it unpacks to
//! depends on the layers beneath. Alone, the answer is then [`Outcome::Unsettled`] (at the end of the stream, because an
//! archive may name a directory after its content) or [`Outcome::NeedsBelow`]. With [`UnpackJob::below`] the missing
//! directories are copied up, and paths through symbolic links of lower layers lead where they lead there (`lib/x`
//! where `lib -> usr/lib`).
//!
//! Follows the OCI image specification 1.1, `layer.md`; overlayfs.rst; and docker's unpacking where both are silent.

mod apply;
mod attributes;
mod directories;
mod files;
mod links;
mod names;
mod resolve;
mod settle;
mod space;
mod stream;

use crate::tar::Reader;
use crate::{Below, Entry, Limits, RootfsError};
use apply::Layer;
use dhow_spec::digest::Digest;
use dhow_sys::tree::Tree;
pub use settle::{Unsettled, settle};
use std::io::{self, Read};
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::thread;

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
    /// It lies in the tree, but for directories that it does not name: they must look as they do below. Keep the
    /// tree, and [`settle`] it once the layers beneath are there.
    Unsettled(Unpacked, Unsettled),
    /// It has a hard link to a file that it does not hold: unpack it again into a new tree, with
    /// [`UnpackJob::below`]. The stream has been read to its end all the same; what is in the tree is of no use.
    NeedsBelow {
        /// The hard link target that the archive does not hold.
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

    /// An extended attribute was left out, because the file system or the kind of file cannot have it. Attributes
    /// that carry privileges (`security.*`, `trusted.*`) are never left out: those are errors.
    fn skipped_xattr(&mut self, entry: &Entry, name: &[u8]) {
        let _ = (entry, name);
    }
}

/// Watches nothing.
#[derive(Debug, Default)]
pub struct NoObserver;

impl Observer for NoObserver {}

/// Unpacks the plain tar stream `tar` into the empty directory `tree`.
///
/// `tar` is read on a thread of its own, so what it does in `read` (inflating, writing a copy) runs beside the
/// unpacking. It is read to its very end, also behind the end of the archive, unless there is an error. Memory is
/// some 10 MiB, whatever the layer; and some 200 bytes per directory.
///
/// # Errors
/// [`RootfsError`]; what is in the tree is then of no use.
pub fn unpack<R: Read + Send>(tar: &mut R, tree: &Tree, mut job: UnpackJob<'_>) -> Result<Outcome, RootfsError> {
    let no_thread = |source: io::Error| RootfsError::Tree { operation: "start a thread to unpack into", source };
    let (feed, chunks, hashed) = stream::pipeline(job.hash);
    thread::scope(|scope| {
        let hasher = match hashed {
            Some(chunks) => {
                let name = thread::Builder::new().name("layer-hash".into());
                Some(name.spawn_scoped(scope, move || stream::hash(&chunks)).map_err(no_thread)?)
            }
            None => None,
        };
        let name = thread::Builder::new().name("layer-read".into());
        name.spawn_scoped(scope, move || feed.pump(tar)).map_err(no_thread)?;

        let mut reader = Reader::new(chunks, job.limits);
        let mut layer = Layer::new(tree, &mut job)?;
        let applied = layer.apply(&mut reader);
        // Lets the reading thread go, should it wait for somebody to take its chunks.
        drop(reader);
        applied?;
        let diff_id = hasher.map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
        layer.finish(diff_id)
    })
}
