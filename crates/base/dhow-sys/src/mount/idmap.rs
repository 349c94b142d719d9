//! Mounts that show the owners of their files as other ones (mount_setattr(2), `MOUNT_ATTR_IDMAP`, Linux 5.12).

use super::attach::{AT_EMPTY_PATH, MountAttr, mount_setattr};
use super::{Depth, MountError};
use std::os::fd::{AsRawFd, BorrowedFd};

const MOUNT_ATTR_IDMAP: u64 = 0x0010_0000;

/// Maps the ids of files in a mount as a user namespace maps its own: an id inside the namespace is one on the disk, and is
/// shown as the one that it stands for outside. The mount must be a detached one that has not been mapped yet.
///
/// # Errors
/// What mount_setattr(2) says: `EINVAL` for a file system that cannot do it.
pub fn map_ids(mount: BorrowedFd<'_>, user_namespace: BorrowedFd<'_>, depth: Depth) -> Result<(), MountError> {
    let namespace = u64::try_from(user_namespace.as_raw_fd()).expect("an open descriptor is not negative");
    let attributes = MountAttr { attr_set: MOUNT_ATTR_IDMAP, attr_clr: 0, propagation: 0, userns_fd: namespace };
    mount_setattr(mount, c"", AT_EMPTY_PATH | super::detached::recursive(depth), &attributes)
        .map_err(|e| MountError::new("mount_setattr idmap", e))
}
