//! Users and groups of a root filesystem.
//!
//! The files come from an image, or from a container that runs and is hostile: they are opened inside the root, must be
//! plain files, and are read up to a bound. What they say is found by [`find`].

mod find;

pub use find::{Identity, UserError, find, home_of};

use super::invalid;
use crate::EngineError;
use oci_spec::runtime::User;
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// The largest file that is read, in bytes: more than the users of a large domain need.
const MOST: u64 = 16 << 20;
/// `f_type` of procfs.
const PROC_SUPER_MAGIC: i64 = 0x9fa0;

/// Finds `user[:group]` and additional groups in `/etc/passwd` and `/etc/group` of a root (opened inside it), as docker
/// does: numbers need not be there, names must.
///
/// # Errors
/// [`EngineError::Invalid`]: `unable to find user NAME: no matching entries in passwd file`; a file that is too large.
pub fn resolve_user(root: BorrowedFd<'_>, user: Option<&str>, groups: &[String]) -> Result<User, EngineError> {
    let (passwd, group) = (read(root, "etc/passwd")?, read(root, "etc/group")?);
    let found = find(&passwd, &group, user.unwrap_or_default(), groups).map_err(|e| invalid(e.to_string()))?;
    let mut user = User::default();
    user.set_uid(found.uid).set_gid(found.gid).set_additional_gids(Some(found.groups));
    Ok(user)
}

/// The home directory of a user in a root: `HOME` where nothing else sets it.
pub fn home(root: BorrowedFd<'_>, uid: u32) -> Option<String> {
    home_of(&read(root, "etc/passwd").ok()?, uid)
}

/// A file of the root; empty when there is none, or it is no plain file.
fn read(root: BorrowedFd<'_>, path: &str) -> Result<Vec<u8>, EngineError> {
    let failed = |e| EngineError::io("read", format!("/{path} of the container"), e);
    let file = match open(root, path) {
        Ok(Some(file)) => file,
        Ok(None) => return Ok(Vec::new()),
        // As in docker: without the file there are no names.
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(Vec::new()),
        Err(e) => return Err(failed(e)),
    };
    let mut text = Vec::new();
    file.take(MOST + 1).read_to_end(&mut text).map_err(failed)?;
    if text.len() as u64 > MOST {
        return Err(invalid(format!("/{path} of the container is larger than {} MB", MOST >> 20)));
    }
    Ok(text)
}

/// Opens a plain file inside the root. It is opened as a place first: opening a device node for reading can do things.
fn open(root: BorrowedFd<'_>, path: &str) -> io::Result<Option<File>> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let place = rustix::fs::openat2(root, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve)?;
    if FileType::from_raw_mode(rustix::fs::fstat(&place)?.st_mode) != FileType::RegularFile {
        return Ok(None);
    }
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(&descriptors()?, place.as_raw_fd().to_string(), flags, Mode::empty())?;
    Ok(Some(File::from(file)))
}

/// `/proc/self/fd`, if it is what it says.
fn descriptors() -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open("/proc/self/fd", flags, Mode::empty())?;
    match rustix::fs::fstatfs(&directory)?.f_type == PROC_SUPER_MAGIC {
        true => Ok(directory),
        false => Err(io::Error::other("/proc/self/fd is not on procfs")),
    }
}
