//! Mounts that nobody else sees: all of this program's live in a mount namespace of its own and end with it, however it ends.

use std::path::Path;

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::statfs::{TMPFS_MAGIC, statfs};

use crate::failure::Failure;

/// Enters a mount namespace of our own. Threads inherit it, so this comes before the first one. False: not permitted.
pub(crate) fn private() -> Result<bool, Failure> {
    match unshare(CloneFlags::CLONE_NEWNS) {
        Err(Errno::EPERM) => return Ok(false),
        other => other.map_err(Failure::kernel("unshare"))?,
    }
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).map_err(Failure::kernel("make / private"))?;
    Ok(true)
}

/// Puts a file system in memory on `directory`, unless it is on one: there an fsync costs nothing.
pub(crate) fn in_memory(directory: &Path) -> Result<(), Failure> {
    let there = statfs(directory).map_err(Failure::kernel("statfs"))?;
    if there.filesystem_type() == TMPFS_MAGIC {
        return Ok(());
    }
    mount(Some("dhow-crash"), directory, Some("tmpfs"), MsFlags::empty(), Some("mode=0700"))
        .map_err(Failure::kernel("mount tmpfs"))
}

/// Shows `file` in the place of `target`.
pub(crate) fn bind(file: &Path, target: &Path) -> Result<(), Failure> {
    let none: Option<&str> = None;
    mount(Some(file), target, none, MsFlags::MS_BIND, none).map_err(Failure::kernel("bind mount"))
}
