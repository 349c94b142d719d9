//! Settles a layer that was unpacked before those beneath it were known.
//!
//! Archives are often made from lists of files, without the directories above them. Waiting for the layers below before
//! reading such an archive would unpack one layer after the other; so it is unpacked at once, and the few directories
//! that it did not name get the metadata of those below afterwards.

use super::attributes::{Attributes, steers_overlay};
use crate::below::Lower;
use crate::{Below, RootfsError};
use dhow_sys::tree::{self, Target, Tree};
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Directories that an archive goes through without naming them, parents before children.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsettled {
    pub(super) directories: Vec<PathBuf>,
}

/// Gives the unnamed directories of `tree` the look of those below. `false`: one of them is no directory there but a
/// symbolic link, or a file; the layer must be unpacked again, with [`super::UnpackJob::below`], to follow it.
///
/// # Errors
/// [`RootfsError`]; the tree is then of no use.
pub fn settle(tree: &Tree, unsettled: &Unsettled, below: &Below) -> Result<bool, RootfsError> {
    for path in &unsettled.directories {
        match below.lookup(path)? {
            Lower::Missing => {}
            Lower::Other(_) => return Ok(false),
            Lower::Directory(fd) => {
                let stat = rustix::fs::fstat(&fd).map_err(io::Error::from);
                let look = stat.and_then(|stat| Attributes::of_lower(&stat, Target::Fd(fd.as_fd())));
                let look = look.map_err(|source| RootfsError::Below {
                    operation: "read the metadata of",
                    path: path.clone(),
                    source,
                })?;
                dress(tree, path, &look).map_err(|source| RootfsError::Apply {
                    operation: "set the metadata of",
                    entry: path.clone(),
                    source,
                })?;
            }
        }
    }
    Ok(true)
}

/// Owner first, because chown takes bits away; times last.
fn dress(tree: &Tree, path: &Path, look: &Attributes<'_>) -> io::Result<()> {
    let fd = tree::open_beneath(tree.root(), path, OFlags::RDONLY | OFlags::DIRECTORY)?;
    let target = Target::Fd(fd.as_fd());
    tree::set_owner(target, look.uid, look.gid)?;
    tree::set_mode(target, look.mode)?;
    for (name, value) in look.xattrs.iter().filter(|(name, _)| !steers_overlay(name)) {
        match tree::set_xattr(target, OsStr::from_bytes(name), value) {
            Err(e) if Errno::from_io_error(&e) == Some(Errno::OPNOTSUPP) && name.starts_with(b"user.") => {}
            other => other?,
        }
    }
    tree::set_times(target, look.time)
}
