//! Making one name in a directory, and setting what belongs to its inode.
//!
//! Nothing here replaces: a name that is there is `AlreadyExists`. The mode given is subject to the umask of the
//! process, as the kernel has it; [`set_mode`] is not.

use super::{Target, single};
use rustix::fs::{AtFlags, Dev, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid};
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

/// A time of the file system: seconds since the Unix epoch, rounded down, and nanoseconds on top.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileTime {
    /// Whole seconds, negative before 1970.
    pub seconds: i64,
    /// 0 to 999,999,999.
    pub nanoseconds: u32,
}

/// Makes a directory.
///
/// # Errors
/// What mkdirat(2) says.
pub fn make_directory(dir: BorrowedFd<'_>, name: &OsStr, mode: u32) -> io::Result<()> {
    Ok(rustix::fs::mkdirat(dir, single(name)?, Mode::from_raw_mode(mode))?)
}

/// Makes an empty regular file and opens it for writing.
///
/// # Errors
/// What openat(2) says.
pub fn create_file(dir: BorrowedFd<'_>, name: &OsStr, mode: u32) -> io::Result<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(dir, single(name)?, flags, Mode::from_raw_mode(mode))?)
}

/// Makes a named pipe.
///
/// # Errors
/// What mknodat(2) says.
pub fn make_fifo(dir: BorrowedFd<'_>, name: &OsStr, mode: u32) -> io::Result<()> {
    Ok(rustix::fs::mknodat(dir, single(name)?, FileType::Fifo, Mode::from_raw_mode(mode), 0)?)
}

/// Makes a device node; `kind` is a character or a block device.
///
/// # Errors
/// What mknodat(2) says: `PermissionDenied` without CAP_MKNOD, but for the character device 0:0.
pub fn make_node(dir: BorrowedFd<'_>, name: &OsStr, kind: FileType, mode: u32, device: Dev) -> io::Result<()> {
    Ok(rustix::fs::mknodat(dir, single(name)?, kind, Mode::from_raw_mode(mode), device)?)
}

/// Makes a symbolic link that holds `target`, verbatim.
///
/// # Errors
/// What symlinkat(2) says.
pub fn symlink(target: &OsStr, dir: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    Ok(rustix::fs::symlinkat(target, dir, single(name)?)?)
}

/// Makes `name` in `dir` another name of `old_name` in `old_dir`; a symbolic link there is linked itself.
///
/// # Errors
/// What linkat(2) says.
pub fn link(old_dir: BorrowedFd<'_>, old_name: &OsStr, dir: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    Ok(rustix::fs::linkat(old_dir, single(old_name)?, dir, single(name)?, AtFlags::empty())?)
}

/// Sets owner and group. Clears set-id bits and file capabilities of a regular file, so it comes before those.
///
/// # Errors
/// What fchownat(2) says.
pub fn set_owner(target: Target<'_>, uid: u32, gid: u32) -> io::Result<()> {
    let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
    match target {
        Target::Fd(fd) => rustix::fs::fchown(fd, uid, gid)?,
        Target::Name(dir, name) => rustix::fs::chownat(dir, single(name)?, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?,
    }
    Ok(())
}

/// Sets the permission bits, whatever the umask is. A symbolic link has none: it is `Unsupported`.
///
/// # Errors
/// What chmod(2) says.
pub fn set_mode(target: Target<'_>, mode: u32) -> io::Result<()> {
    let mode = Mode::from_raw_mode(mode);
    match target {
        Target::Fd(fd) => rustix::fs::fchmod(fd, mode)?,
        Target::Name(dir, name) => {
            // fchmodat has no flag against following links before Linux 6.6: go through an fd on the inode itself.
            let place = super::open_name(dir, name, OFlags::PATH)?;
            if FileType::from_raw_mode(rustix::fs::fstat(&place)?.st_mode) == FileType::Symlink {
                return Err(io::Error::from(io::ErrorKind::Unsupported));
            }
            rustix::fs::chmod(proc_path(&place), mode)?;
        }
    }
    Ok(())
}

/// Sets the times of last modification and last access, both to `time`.
///
/// # Errors
/// What utimensat(2) says.
pub fn set_times(target: Target<'_>, time: FileTime) -> io::Result<()> {
    let time = Timespec { tv_sec: time.seconds, tv_nsec: time.nanoseconds.into() };
    let times = Timestamps { last_access: time, last_modification: time };
    match target {
        Target::Fd(fd) => rustix::fs::futimens(fd, &times)?,
        Target::Name(dir, name) => rustix::fs::utimensat(dir, single(name)?, &times, AtFlags::SYMLINK_NOFOLLOW)?,
    }
    Ok(())
}

/// The path that leads to the inode of an fd, an `O_PATH` one too.
pub(super) fn proc_path(fd: &impl AsRawFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}
