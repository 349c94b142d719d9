//! The program file that `exec` runs from: nobody may be able to write to it.
//!
//! Who enters a container is for a moment a process of it, and what the container executes may be `/proc/self/exe`: this
//! very program, run again inside. Another process of the container then reaches the program's file through
//! `/proc/<pid>/exe`, and with the rights of root would put another in its place, on the host (CVE-2019-5736). Through a
//! read-only mount of its own that no path leads to, the file can be read and not written. So the program of who enters
//! is executed once more from such a mount before anything else is done; a supervisor is so from its start.

use crate::EngineError;
use dhow_sys::mount::{MountAttrFlags, clone_tree, set_attributes};
use rustix::fs::{StatVfsMountFlags, fstatvfs, statvfs};
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

/// Whether this process runs from a file that cannot be written through it.
pub fn is_sealed() -> bool {
    statvfs(super::PROGRAM).is_ok_and(|stat| stat.f_flag.contains(StatVfsMountFlags::RDONLY))
}

/// Executes this very program again from a read-only mount, with these arguments, the first of which is its name, and the
/// same environment and descriptors. To be called before anything is opened that does not survive that, by a process of
/// one thread. Comes back only when it does not work; then [`super::exec()`] would refuse.
pub fn seal(arguments: impl IntoIterator<Item = OsString>) -> EngineError {
    let failed = |source: io::Error| EngineError::io("execute from a read-only mount", super::PROGRAM, source);
    let mount = match read_only() {
        Ok(mount) => mount,
        Err(e) => return failed(e),
    };
    let mut arguments = arguments.into_iter();
    let mut command = Command::new(format!("/proc/self/fd/{}", mount.as_raw_fd()));
    command.arg0(arguments.next().unwrap_or_default()).args(arguments);
    failed(command.exec())
}

/// This program's file, on a read-only mount of its own that no path leads to.
///
/// # Errors
/// When such a mount is refused.
pub(crate) fn read_only() -> io::Result<OwnedFd> {
    let mount = clone_tree(Path::new(super::PROGRAM)).map_err(|e| e.source)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY | MountAttrFlags::MOUNT_ATTR_NODEV;
    set_attributes(mount.as_fd(), attributes, MountAttrFlags::empty()).map_err(|e| e.source)?;
    // If that did nothing, a program that looks whether it is so would execute itself for ever.
    match fstatvfs(&mount).is_ok_and(|stat| stat.f_flag.contains(StatVfsMountFlags::RDONLY)) {
        true => Ok(mount),
        false => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// The path of this program, for who is started from it later; itself through procfs when no path leads to it any more.
/// In a process that runs from a mount of its own, only a path that somebody else gave it would.
pub(super) fn program() -> OsString {
    use std::os::unix::fs::MetadataExt as _;
    let same = || {
        let path = std::fs::read_link(super::PROGRAM).ok()?;
        let (by_path, itself) = (std::fs::metadata(&path).ok()?, std::fs::metadata(super::PROGRAM).ok()?);
        let same = by_path.is_file() && (by_path.dev(), by_path.ino()) == (itself.dev(), itself.ino());
        same.then_some(path)
    };
    same().map_or_else(|| super::PROGRAM.into(), Into::into)
}
