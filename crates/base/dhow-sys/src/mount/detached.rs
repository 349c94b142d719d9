//! Mounts by fd alone: cloning whole trees, changing them, putting one on a place that is held open.
//!
//! No path is looked up here but in [`open_tree_at`], so nobody can change what is meant between looking and acting.

use super::MountError;
use super::attach::{AT_EMPTY_PATH, MountAttr, mount_setattr};
use rustix::fs::CWD;
use rustix::mount::{MountAttrFlags, MoveMountFlags, OpenTreeFlags};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// How mounts and unmounts spread between a mount and its copies (mount_namespaces(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// Not at all.
    Private,
    /// Both ways.
    Shared,
    /// From the others to this one.
    Slave,
    /// Not at all, and it cannot be bound elsewhere.
    Unbindable,
}

impl Propagation {
    /// The flag of mount(2) and mount_setattr(2).
    fn bits(self) -> u64 {
        match self {
            Propagation::Private => 1 << 18,
            Propagation::Slave => 1 << 19,
            Propagation::Shared => 1 << 20,
            Propagation::Unbindable => 1 << 17,
        }
    }
}

/// What is to change of a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Attributes to set.
    pub set: MountAttrFlags,
    /// Attributes to clear; setting one of the access time flags takes `MOUNT_ATTR__ATIME` here.
    pub clear: MountAttrFlags,
    /// None: as it is.
    pub propagation: Option<Propagation>,
}

impl Change {
    /// Nothing.
    pub const NONE: Change = Change { set: MountAttrFlags::empty(), clear: MountAttrFlags::empty(), propagation: None };
}

/// Whether the mounts beneath belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// This mount alone.
    One,
    /// All beneath it too.
    All,
}

const AT_RECURSIVE: std::ffi::c_uint = 0x8000;

/// Clones what is open as `place` (an `O_PATH` fd, or any other) into a detached mount.
///
/// # Errors
/// What open_tree(2) says.
pub fn clone_place(place: BorrowedFd<'_>, depth: Depth) -> Result<OwnedFd, MountError> {
    let flags = OpenTreeFlags::AT_EMPTY_PATH | tree_flags(depth);
    rustix::mount::open_tree(place, "", flags).map_err(|e| MountError::new("open_tree", e))
}

/// Clones the tree at `path`, symbolic links followed, into a detached mount.
///
/// # Errors
/// What open_tree(2) says.
pub fn open_tree_at(path: &Path, depth: Depth) -> Result<OwnedFd, MountError> {
    rustix::mount::open_tree(CWD, path, tree_flags(depth))
        .map_err(|e| MountError::new(format!("open_tree {}", path.display()), e))
}

fn tree_flags(depth: Depth) -> OpenTreeFlags {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    match depth {
        Depth::One => flags,
        Depth::All => flags | OpenTreeFlags::AT_RECURSIVE,
    }
}

/// Changes a mount that is held by an fd on its root.
///
/// # Errors
/// What mount_setattr(2) says (Linux 5.12).
pub fn change(mount: BorrowedFd<'_>, change: Change, depth: Depth) -> Result<(), MountError> {
    if change == Change::NONE {
        return Ok(());
    }
    let attributes = MountAttr {
        attr_set: u64::from(change.set.bits()),
        attr_clr: u64::from(change.clear.bits()),
        propagation: change.propagation.map_or(0, Propagation::bits),
        userns_fd: 0,
    };
    mount_setattr(mount, c"", AT_EMPTY_PATH | recursive(depth), &attributes)
        .map_err(|e| MountError::new("mount_setattr", e))
}

/// The flag of mount_setattr(2).
pub(super) fn recursive(depth: Depth) -> std::ffi::c_uint {
    if depth == Depth::All { AT_RECURSIVE } else { 0 }
}

/// Puts a detached mount on the file or directory that is open as `place`.
///
/// # Errors
/// What move_mount(2) says.
pub fn attach_to(mount: impl AsFd, place: BorrowedFd<'_>) -> Result<(), MountError> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(mount.as_fd(), "", place, "", flags).map_err(|e| MountError::new("move_mount", e))
}
