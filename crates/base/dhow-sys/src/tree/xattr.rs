//! Extended attributes of inodes that no path is trusted for.
//!
//! The f*xattr calls take no `O_PATH` fd, and the *at calls (setxattrat) came with Linux 6.13. So a name in a
//! directory is reached as `/proc/self/fd/<directory>/<name>` with the l*xattr calls: the first part is a magic
//! link to the very directory that the fd holds, and the last is not followed. It needs a mounted /proc.

use super::{make, single};
use rustix::fs::XattrFlags;
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// The kernel's limit on one value, and on all names together (XATTR_SIZE_MAX, XATTR_LIST_MAX).
const XATTR_MAX: usize = 65536;

/// An inode: behind an fd that is no `O_PATH`, or one name of a directory, itself if it is a symbolic link.
#[derive(Debug, Clone, Copy)]
pub enum Target<'a> {
    /// An open file or directory.
    Fd(BorrowedFd<'a>),
    /// A name in a directory; the directory may be an `O_PATH` fd.
    Name(BorrowedFd<'a>, &'a OsStr),
}

/// Sets an attribute, new or not.
///
/// # Errors
/// What setxattr(2) says: `ENOTSUP` when the file system or the kind of file has none, `EPERM` without the
/// capability that its name space asks for.
pub fn set_xattr(target: Target<'_>, name: &OsStr, value: &[u8]) -> io::Result<()> {
    match target {
        Target::Fd(fd) => rustix::fs::fsetxattr(fd, name, value, XattrFlags::empty())?,
        Target::Name(..) => rustix::fs::lsetxattr(path_of(target)?, name, value, XattrFlags::empty())?,
    }
    Ok(())
}

/// The value of an attribute; nothing when it is not set, or cannot be on this file system.
///
/// # Errors
/// What getxattr(2) says otherwise.
pub fn get_xattr(target: Target<'_>, name: &OsStr) -> io::Result<Option<Vec<u8>>> {
    // Most values are short: one call. The others are asked for again with room for the longest.
    let mut size = 256;
    loop {
        let mut value = vec![0u8; size];
        let got = match target {
            Target::Fd(fd) => rustix::fs::fgetxattr(fd, name, value.as_mut_slice()),
            Target::Name(..) => rustix::fs::lgetxattr(path_of(target)?, name, value.as_mut_slice()),
        };
        match got {
            Ok(n) => {
                value.truncate(n);
                return Ok(Some(value));
            }
            Err(Errno::NODATA | Errno::OPNOTSUPP) => return Ok(None),
            Err(Errno::RANGE) if size < XATTR_MAX => size = XATTR_MAX,
            Err(e) => return Err(e.into()),
        }
    }
}

/// The names of all attributes that the caller may see; none on a file system without attributes.
///
/// # Errors
/// What listxattr(2) says.
pub fn list_xattrs(target: Target<'_>) -> io::Result<Vec<OsString>> {
    let mut size = 1024;
    loop {
        let mut list = vec![0u8; size];
        let got = match target {
            Target::Fd(fd) => rustix::fs::flistxattr(fd, list.as_mut_slice()),
            Target::Name(..) => rustix::fs::llistxattr(path_of(target)?, list.as_mut_slice()),
        };
        match got {
            Ok(n) => {
                let names = list[..n].split(|&b| b == 0).filter(|name| !name.is_empty());
                return Ok(names.map(|name| OsString::from_vec(name.to_vec())).collect());
            }
            Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
            Err(Errno::RANGE) if size < XATTR_MAX => size = XATTR_MAX,
            Err(e) => return Err(e.into()),
        }
    }
}

/// Removes an attribute.
///
/// # Errors
/// What removexattr(2) says, `ENODATA` when it is not set.
pub fn remove_xattr(target: Target<'_>, name: &OsStr) -> io::Result<()> {
    match target {
        Target::Fd(fd) => rustix::fs::fremovexattr(fd, name)?,
        Target::Name(..) => rustix::fs::lremovexattr(path_of(target)?, name)?,
    }
    Ok(())
}

/// Removes an attribute that may not be there, or not be possible on this file system.
pub(super) fn remove_if_there(target: Target<'_>, name: &OsStr) -> io::Result<()> {
    match remove_xattr(target, name) {
        Err(e) if matches!(Errno::from_io_error(&e), Some(Errno::NODATA | Errno::OPNOTSUPP)) => Ok(()),
        other => other,
    }
}

fn path_of(target: Target<'_>) -> io::Result<PathBuf> {
    Ok(match target {
        Target::Fd(fd) => make::proc_path(&fd),
        Target::Name(dir, name) => {
            let mut path = make::proc_path(&dir).into_os_string().into_vec();
            path.push(b'/');
            path.extend_from_slice(single(name)?.as_bytes());
            PathBuf::from(OsString::from_vec(path))
        }
    })
}
