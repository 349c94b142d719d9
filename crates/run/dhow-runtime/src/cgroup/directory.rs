//! The files of one group, reached from the fd of its directory.
//!
//! A container may have made groups below its own and given them any name it likes; so nothing here takes a path with
//! more than one part that did not come from dhow, and no symbolic link is ever followed.

use crate::error::RuntimeError;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::{CStr, CString};
use std::fmt::Display;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// An error of this part of the runtime.
pub(super) fn failed(message: impl Display, errno: Errno) -> RuntimeError {
    RuntimeError::Step {
        step: "cgroup".to_owned(),
        message: format!("{message}: {errno}"),
        errno: Some(errno.raw_os_error()),
    }
}

/// An error that no system call returned.
pub(super) fn refused(message: impl Into<String>) -> RuntimeError {
    RuntimeError::Step { step: "cgroup".to_owned(), message: message.into(), errno: None }
}

/// Opens a directory as a place.
pub(super) fn open_directory(parent: BorrowedFd<'_>, name: impl rustix::path::Arg) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

/// Opens one of the kernel's files of a group.
pub(super) fn open_file(group: BorrowedFd<'_>, name: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(group, name, flags | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

/// Writes a value, in the one write(2) that such files take.
pub(super) fn write(group: BorrowedFd<'_>, name: &str, value: &str) -> Result<(), Errno> {
    let file = open_file(group, name, OFlags::WRONLY)?;
    write_to(file.as_fd(), value)
}

/// As [`write()`], to a file that is open.
pub(super) fn write_to(file: BorrowedFd<'_>, value: &str) -> Result<(), Errno> {
    loop {
        match rustix::io::write(file, value.as_bytes()) {
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Reads a file whole.
pub(super) fn read(group: BorrowedFd<'_>, name: &str) -> Result<String, Errno> {
    let file = open_file(group, name, OFlags::RDONLY)?;
    read_all(file.as_fd())
}

/// Reads the whole of an open file, from its beginning.
pub(super) fn read_all(file: BorrowedFd<'_>) -> Result<String, Errno> {
    let mut bytes = vec![0; 4096];
    let mut length = 0;
    loop {
        match rustix::io::pread(file, &mut bytes[length..], length as u64) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
        if length == bytes.len() {
            bytes.resize(length * 2, 0);
        }
    }
    bytes.truncate(length);
    String::from_utf8(bytes).map_err(|_| Errno::ILSEQ)
}

/// Reads a number; `max` and -1 are [`u64::MAX`].
pub(super) fn read_number(group: BorrowedFd<'_>, name: &str) -> Result<u64, Errno> {
    let text = read(group, name)?;
    match text.trim() {
        "max" | "-1" => Ok(u64::MAX),
        number => number.parse().map_err(|_| Errno::INVAL),
    }
}

/// The number behind a key in a file of lines `key number`.
pub(super) fn number_of(lines: &str, key: &str) -> Option<u64> {
    lines.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

/// The names of the groups directly below.
pub(super) fn groups_below(group: BorrowedFd<'_>) -> Result<Vec<CString>, Errno> {
    // The kernel counts them in the number of links: hardly ever is there a need to read the directory.
    if rustix::fs::fstat(group)?.st_nlink <= 2 {
        return Ok(Vec::new());
    }
    let mut names = Vec::new();
    let readable = open_file(group, ".", OFlags::RDONLY | OFlags::DIRECTORY)?;
    for entry in Dir::new(readable)? {
        let entry = entry?;
        let name = entry.file_name();
        if entry.file_type() == FileType::Directory && name != c"." && name != c".." {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

/// Removes an empty group.
pub(super) fn remove_group(parent: BorrowedFd<'_>, name: impl rustix::path::Arg) -> Result<(), Errno> {
    rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)
}

/// Makes a group, and the groups above it are there.
pub(super) fn make_group(parent: BorrowedFd<'_>, path: &Path) -> Result<(), Errno> {
    rustix::fs::mkdirat(parent, path, Mode::from_raw_mode(0o755))
}

/// Shows `each` the group and all below it, from the top down. Those that vanish meanwhile are passed over.
///
/// Only one directory is open at a time: how deep it goes is for the container to say. The way back up is `..`, which
/// leads where we came from, as no group can be moved into another.
pub(super) fn visit(
    top: BorrowedFd<'_>,
    mut each: impl FnMut(BorrowedFd<'_>) -> Result<(), Errno>,
) -> Result<(), Errno> {
    each(top)?;
    let mut to_see = vec![groups_below(top)?];
    let mut below: Option<OwnedFd> = None;
    while let Some(names) = to_see.last_mut() {
        let here = below.as_ref().map_or(top, AsFd::as_fd);
        let Some(name) = names.pop() else {
            to_see.pop();
            below = if to_see.len() > 1 { Some(open_directory(here, c"..")?) } else { None };
            continue;
        };
        let seen = enter(here, &name).and_then(|child| {
            each(child.as_fd())?;
            let names = groups_below(child.as_fd())?;
            Ok((child, names))
        });
        match seen {
            Ok((child, names)) => {
                to_see.push(names);
                below = Some(child);
            }
            Err(errno) if is_gone(errno) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

fn enter(here: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    open_directory(here, name)
}

/// Whether the error says that the group was removed: `ENODEV` when that happened between open and read.
pub(super) fn is_gone(errno: Errno) -> bool {
    errno == Errno::NOENT || errno == Errno::NODEV
}
