//! Layers stacked into a root filesystem: the contract, and its two implementations.
//!
//! # Words
//!
//! - a **layer** is a directory in the format of an overlay's lower directory; nobody writes to it any more;
//! - a [`Stack`] is layers on top of each other, and what they show together;
//! - [`Active`] is a stack with a writable place on top that belongs to one user, a container or a build step;
//! - [`Committed`] is what was written there, frozen: a layer, and with its [`stack`](Committed::stack) a parent;
//! - [`View`] is a stack that can only be read;
//! - a **mount** is the fd of a detached mount: see [`dhow_sys::mount`].
//!
//! # Lifecycle
//!
//! ```text
//!     Stack -- prepare --> Active -- commit --> Committed -- stack() --> Stack
//!                           |  ^ \
//!                           |  |  `- discard --> gone
//!                     drop  v  | resume
//!                        on disk, under its id
//!
//!     Stack -- view --> View -- release --> gone
//! ```
//!
//! An `Active` that is dropped stays on disk (a stopped container) until somebody resumes it by its id. Its first mount
//! claims it: who mounts it too, in this process or another, hears that it is in use, since two overlays on one upper
//! directory corrupt each other. The claim lasts as long as the `Active` or a duplicate of its [`claim`](Active::claim)
//! is open; whoever keeps the mount for longer than that keeps such a duplicate. Neither commit nor discard are possible
//! while another one holds the claim. The mount is to be closed before commit: what is written later changes a layer.
//!
//! Nothing here is in any ledger: the directories are the caller's, and what a crash leaves behind in them is the
//! caller's to sweep. An id that is being prepared, discarded or committed is a directory of that name in the base.
//!
//! # Example
//!
//! ```no_run
//! use dhow_rootfs::snapshots::{Snapshots, SnapshotError, Stack, choose};
//! use std::path::Path;
//!
//! # fn main() -> Result<(), SnapshotError> {
//! let choice = choose(Path::new("/data/containers"), Path::new("/data/work/7"));
//! let snapshots = choice.snapshots;
//! let image = Stack::from_bottom(["/data/layers/sha256-aa", "/data/layers/sha256-bb"]);
//!
//! let active = snapshots.prepare("web", &image)?;
//! let root = active.mount()?;                       // files through openat(root, ..), or attach it somewhere
//! assert!(active.mount().is_err());                 // in use
//! drop(root);
//!
//! let layer = snapshots.commit(active, Path::new("/data/work/7/layer"))?;
//! let next = snapshots.prepare("web-2", layer.stack())?;
//! snapshots.discard(next)?;
//! # Ok(())
//! # }
//! ```

mod choice;
mod clone_file;
mod copy;
mod error;
mod merge;
mod overlay;
mod place;
mod stack;

pub use choice::{Choice, choose};
pub use copy::Copy;
pub use error::SnapshotError;
pub use overlay::Overlay;
pub use stack::Stack;

use crate::mount_plan::MountPlan;
use place::{Claim, Place};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// A way to make root filesystems of layers. All implementations pass the same conformance suite, `tests/snapshots.rs`.
///
/// An `id` is one path component of letters, digits, `_`, `.` and `-` that begins with a letter or digit; views and
/// actives share the names.
pub trait Snapshots: Send + Sync + std::fmt::Debug {
    /// The name of this way, as `dhow info` shows it.
    fn name(&self) -> &'static str;

    /// Makes a writable place on top of `stack`.
    ///
    /// # Errors
    /// [`SnapshotError::Exists`] when the id is taken; otherwise what the file system says. Nothing is left behind.
    fn prepare(&self, id: &str, stack: &Stack) -> Result<Active, SnapshotError>;

    /// Takes up what was prepared on the same stack before.
    ///
    /// # Errors
    /// [`SnapshotError::Missing`] when there is none.
    fn resume(&self, id: &str, stack: &Stack) -> Result<Active, SnapshotError>;

    /// Makes `stack` readable.
    ///
    /// # Errors
    /// As [`prepare`](Self::prepare).
    fn view(&self, id: &str, stack: &Stack) -> Result<View, SnapshotError>;

    /// Freezes what was written, as the directory `to`: on the same file system, and not there yet or empty. Its bytes
    /// may not be on the disk yet: that is the caller's to see to.
    ///
    /// # Errors
    /// [`SnapshotError::InUse`] when somebody else has it mounted; what rename(2) says.
    fn commit(&self, active: Active, to: &Path) -> Result<Committed, SnapshotError>;

    /// Removes it and what was written.
    ///
    /// # Errors
    /// [`SnapshotError::InUse`] when somebody else has it mounted; what the file system says.
    fn discard(&self, active: Active) -> Result<(), SnapshotError>;

    /// Removes what a view needed, if anything. Mounts of it must be closed.
    ///
    /// # Errors
    /// What the file system says.
    fn release(&self, view: View) -> Result<(), SnapshotError>;
}

/// A root filesystem that is writable and private.
#[derive(Debug)]
pub struct Active {
    id: String,
    place: Place,
    stack: Stack,
    plan: MountPlan,
    claim: OnceLock<Claim>,
}

impl Active {
    fn new(id: &str, place: Place, stack: &Stack, plan: MountPlan) -> Active {
        Active { id: id.to_owned(), place, stack: stack.clone(), plan, claim: OnceLock::new() }
    }

    /// The name it was prepared under.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The layers beneath.
    pub fn stack(&self) -> &Stack {
        &self.stack
    }

    /// What [`mount`](Self::mount) will do.
    pub fn plan(&self) -> &MountPlan {
        &self.plan
    }

    /// Mounts it, detached, and claims it.
    ///
    /// # Errors
    /// [`SnapshotError::InUse`] when it has been mounted already, here or by another process; what the kernel says.
    pub fn mount(&self) -> Result<OwnedFd, SnapshotError> {
        let claim = self.place.claim(&self.id)?;
        let mount = self.plan.mount()?;
        self.claim.set(claim).map_err(|_| SnapshotError::InUse { id: self.id.clone() })?;
        Ok(mount)
    }

    /// The fd that holds the claim, once it is mounted. The claim ends when this fd and all duplicates are closed.
    pub fn claim(&self) -> Option<BorrowedFd<'_>> {
        self.claim.get().map(Claim::as_fd)
    }

    /// Takes it apart, claimed.
    fn into_claimed(mut self) -> Result<(Claim, Place, Stack), SnapshotError> {
        let claim = match self.claim.take() {
            Some(claim) => claim,
            None => self.place.claim(&self.id)?,
        };
        Ok((claim, self.place, self.stack))
    }
}

/// Claims the snapshot `id` in `base` without mounting it, for a container that runs on it and whose claim was lost; none when
/// somebody has it.
///
/// # Errors
/// [`SnapshotError::Missing`], or what the kernel says.
pub fn claim(base: &Path, id: &str) -> Result<Option<OwnedFd>, SnapshotError> {
    match Place::open(base, id)?.claim(id) {
        Ok(claim) => Ok(Some(claim.into_fd())),
        Err(SnapshotError::InUse { .. }) => Ok(None),
        Err(e) => Err(e),
    }
}

/// A frozen layer that came of an [`Active`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    dir: PathBuf,
    stack: Stack,
}

impl Committed {
    /// Its directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What to stack on to go on from here: the layers that it needs beneath, and itself on top.
    pub fn stack(&self) -> &Stack {
        &self.stack
    }
}

/// A root filesystem that can only be read.
#[derive(Debug)]
pub struct View {
    place: Option<Place>,
    plan: MountPlan,
}

impl View {
    /// What [`mount`](Self::mount) will do.
    pub fn plan(&self) -> &MountPlan {
        &self.plan
    }

    /// Mounts it, detached and read-only; as often as is wanted.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn mount(&self) -> Result<OwnedFd, SnapshotError> {
        Ok(self.plan.mount()?)
    }
}
