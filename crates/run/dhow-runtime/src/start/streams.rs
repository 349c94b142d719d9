//! The three files that become standard input, output and error, before they are handed over.
//!
//! The container's root can change whatever it holds open: mode, owner and times by fchmod(2) and its like. Pipes and files
//! were meant for it; the host's null device was not.

use super::Stdio;
use super::held::failed;
use super::plan::devices;
use crate::error::RuntimeError;
use dhow_sys::mount::{self, Change, Depth, MountAttrFlags};
use rustix::fs::{CWD, FileType, Mode, OFlags, Uid};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// The host's null device, on a read-only mount that is attached nowhere: it is read and written like any other, but
/// nothing of it can be changed. Only made when one of the three files is the null device, or none is there yet.
pub(super) fn null_in_place_of_ours(stdio: &Stdio<'_>) -> Result<Option<OwnedFd>, RuntimeError> {
    match stdio {
        Stdio::Files(files) if !files.iter().any(|file| is_null(*file)) => return Ok(None),
        Stdio::Files(_) | Stdio::Terminal { .. } => {}
    }
    let fail = |e: io::Error| failed("standard streams", "cannot open /dev/null", &e);
    let change = Change { set: MountAttrFlags::MOUNT_ATTR_RDONLY, ..Change::NONE };
    let clone = mount::open_tree_at(Path::new("/dev/null"), Depth::One).map_err(|e| fail(e.source))?;
    mount::change(clone.as_fd(), change, Depth::One).map_err(|e| fail(e.source))?;
    let path = format!("/proc/self/fd/{}", clone.as_raw_fd());
    let null = rustix::fs::openat(CWD, path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty());
    let null = null.map_err(|e| fail(e.into()))?;
    if is_null(null.as_fd()) { Ok(Some(null)) } else { Err(fail(io::ErrorKind::InvalidData.into())) }
}

/// The same streams with that in the place of each null device.
pub(super) fn without_our_null<'a>(stdio: &Stdio<'a>, null: Option<&'a OwnedFd>) -> Stdio<'a> {
    match stdio {
        Stdio::Terminal { size } => Stdio::Terminal { size: *size },
        Stdio::Files(files) => Stdio::Files(files.map(|file| match null {
            Some(null) if is_null(file) => null.as_fd(),
            _ => file,
        })),
    }
}

pub(super) fn is_null(file: BorrowedFd<'_>) -> bool {
    rustix::fs::fstat(file).is_ok_and(|stat| {
        FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == devices::null()
    })
}

/// Pipes are given to who will use them, so that `/dev/stdout` can be opened again by its name.
pub(super) fn give_away_pipes(stdio: &Stdio<'_>, owner: Option<u32>) -> Result<(), RuntimeError> {
    let (Stdio::Files(files), Some(owner)) = (stdio, owner) else { return Ok(()) };
    let owner = Uid::from_raw(owner);
    for file in files {
        let given = rustix::fs::fstat(file).and_then(|stat| {
            let pipe = FileType::from_raw_mode(stat.st_mode) == FileType::Fifo;
            if pipe && stat.st_uid != owner.as_raw() { rustix::fs::fchown(file, Some(owner), None) } else { Ok(()) }
        });
        given.map_err(|e| failed("standard streams", "cannot give a pipe to the container's user", &e.into()))?;
    }
    Ok(())
}
