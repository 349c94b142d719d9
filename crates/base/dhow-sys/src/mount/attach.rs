//! What is done with mounts that exist: clone, change, attach, unmount.

use super::{MountAttrFlags, MountError};
use rustix::fs::CWD;
use rustix::mount::{MoveMountFlags, OpenTreeFlags, UnmountFlags};
use std::ffi::{CStr, CString, c_char, c_long, c_uint};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Clones the mount at `path`, with that directory as its root, into a detached mount: a bind mount without a place.
/// Mounts beneath it are left out. The last component may be a symbolic link.
///
/// # Errors
/// What open_tree(2) says; `EINVAL` when the path is on a mount of another namespace.
pub fn clone_tree(path: &Path) -> Result<OwnedFd, MountError> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    rustix::mount::open_tree(CWD, path, flags).map_err(|e| MountError::new(format!("open_tree {}", path.display()), e))
}

/// Sets and clears attributes of one mount, which may be a detached one. Attributes of the mounts beneath stay.
///
/// # Errors
/// What mount_setattr(2) says (Linux 5.12).
pub fn set_attributes(mount: BorrowedFd<'_>, set: MountAttrFlags, clear: MountAttrFlags) -> Result<(), MountError> {
    let attributes =
        MountAttr { attr_set: u64::from(set.bits()), attr_clr: u64::from(clear.bits()), propagation: 0, userns_fd: 0 };
    mount_setattr(mount, c"", AT_EMPTY_PATH, &attributes).map_err(|e| MountError::new("mount_setattr", e))
}

/// Puts a detached mount at `path`, which may not be a symbolic link.
///
/// # Errors
/// What move_mount(2) says.
pub fn attach(mount: BorrowedFd<'_>, path: &Path) -> Result<(), MountError> {
    rustix::mount::move_mount(mount, "", CWD, path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .map_err(|e| MountError::new(format!("move_mount to {}", path.display()), e))
}

/// Takes the mount at `path` out of the tree, at once, though files in it may be open still (`MNT_DETACH`).
///
/// # Errors
/// What umount2(2) says: `EINVAL` when nothing is mounted there.
pub fn unmount(path: &Path) -> Result<(), MountError> {
    rustix::mount::unmount(path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)
        .map_err(|e| MountError::new(format!("umount {}", path.display()), e))
}

/// `struct mount_attr` of mount_setattr(2), in its first version.
#[repr(C)]
pub(super) struct MountAttr {
    pub(super) attr_set: u64,
    pub(super) attr_clr: u64,
    pub(super) propagation: u64,
    pub(super) userns_fd: u64,
}

pub(super) const AT_EMPTY_PATH: c_uint = 0x1000;

/// The number of mount_setattr: the same on every architecture whose table began with or joined the common one.
const SYS_MOUNT_SETATTR: c_long = 442;

unsafe extern "C" {
    /// syscall(2) of the C library. The call below is the only one in want of it: rustix has no mount_setattr.
    fn syscall(number: c_long, ...) -> c_long;
}

pub(super) fn mount_setattr(
    dir: BorrowedFd<'_>,
    path: &CStr,
    flags: c_uint,
    attributes: &MountAttr,
) -> Result<(), io::Error> {
    let path: *const c_char = path.as_ptr();
    // SAFETY: mount_setattr reads a NUL-terminated path and `size` bytes of a struct mount_attr. Both are borrowed for
    // longer than the call, the struct has exactly that layout, and the kernel writes to neither.
    let result = unsafe {
        syscall(
            SYS_MOUNT_SETATTR,
            c_long::from(dir.as_raw_fd()),
            path,
            c_long::from(flags),
            std::ptr::from_ref(attributes),
            size_of::<MountAttr>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A path as the kernel wants it.
pub(super) fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(io::Error::from)
}
