//! The layers beneath the one being unpacked, looked at as overlayfs would show them.
//!
//! Only the rare layer asks: one that is not whole by itself. What lies below was unpacked from other archives, so it
//! is as hostile as they are: every step opens one name, follows no symbolic link and enters no mount point.
//!
//! The rules are those of the kernel's `overlayfs.rst`, "Merged directories" and "whiteouts and opaque directories":
//! the topmost thing with a name wins; directories of one name merge until something that is no directory, a
//! whiteout, or an opaque directory ends it.

use crate::RootfsError;
use dhow_sys::tree::{self, Target};
use rustix::fs::{FileType, OFlags, Stat};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The attribute of a directory that hides what is below it; its value is then `y`.
pub(crate) const OPAQUE: &str = "trusted.overlay.opaque";

/// A stack of unpacked layers.
#[derive(Debug)]
pub struct Below {
    /// Top first.
    layers: Vec<OwnedFd>,
    /// The directory that the last look-up went through last, and what merges there. Whoever walks down a path asks for
    /// each step of it, and from the root that would cost the square of its depth.
    last: Mutex<(PathBuf, Vec<OwnedFd>)>,
}

/// What the stack shows under a path.
pub(crate) enum Lower {
    /// Nothing.
    Missing,
    /// A directory: the topmost of those that merge, open for reading.
    Directory(OwnedFd),
    /// Something else, which a directory of one layer holds under the last name of the path.
    Other(LowerFile),
}

/// A file of a lower layer that is no directory.
pub(crate) struct LowerFile {
    /// The directory that holds it.
    pub(crate) dir: OwnedFd,
    /// Its name there.
    pub(crate) name: OsString,
    /// Its status.
    pub(crate) stat: Stat,
}

impl LowerFile {
    /// What kind of file it is.
    pub(crate) fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.stat.st_mode)
    }
}

impl Below {
    /// Opens the layer directories, top first.
    ///
    /// # Errors
    /// [`RootfsError::Below`] when one cannot be opened.
    pub fn open<P: AsRef<Path>>(layers: impl IntoIterator<Item = P>) -> Result<Below, RootfsError> {
        let open = |path: P| {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let path = path.as_ref();
            rustix::fs::openat(rustix::fs::CWD, path, flags, rustix::fs::Mode::empty()).map_err(|source| {
                RootfsError::Below { operation: "open", path: path.to_owned(), source: source.into() }
            })
        };
        Ok(Below { layers: layers.into_iter().map(open).collect::<Result<_, _>>()?, last: Mutex::default() })
    }

    /// What is under `path`, of which no parent is a symbolic link (the caller resolves those).
    pub(crate) fn lookup(&self, path: &Path) -> Result<Lower, RootfsError> {
        self.find(path).map_err(|source| RootfsError::Below { operation: "look up", path: path.to_owned(), source })
    }

    fn find(&self, path: &Path) -> io::Result<Lower> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let (here, merged) = &mut *last;
        // An empty list of directories stands for the roots of the layers.
        if !path.starts_with(&here) {
            here.clear();
            merged.clear();
        }
        let ahead = path.strip_prefix(&here).expect("seen to just now").to_owned();
        let mut names = ahead.iter().peekable();
        while let Some(name) = names.next() {
            let dirs = if here.as_os_str().is_empty() { &self.layers } else { &*merged };
            match descend(dirs, name)? {
                Step::Directories(fds) => {
                    here.push(name);
                    *merged = fds;
                }
                Step::Other(dir, stat) if names.peek().is_none() => {
                    return Ok(Lower::Other(LowerFile { dir, name: name.to_owned(), stat }));
                }
                // Whoever resolved the path so far saw a directory in another layer.
                Step::Other(..) | Step::Missing => return Ok(Lower::Missing),
            }
        }
        match merged.first() {
            Some(top) => Ok(Lower::Directory(top.try_clone()?)),
            None => Ok(Lower::Missing),
        }
    }
}

enum Step {
    Missing,
    Directories(Vec<OwnedFd>),
    /// The directory that holds it, and its status.
    Other(OwnedFd, Stat),
}

/// What merges under one name of directories that merge themselves.
fn descend(dirs: &[OwnedFd], name: &OsStr) -> io::Result<Step> {
    let mut merged = Vec::new();
    for dir in dirs {
        let Some(stat) = tree::status(dir.as_fd(), name)? else { continue };
        if is_whiteout(&stat) {
            break;
        }
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            if merged.is_empty() {
                return Ok(Step::Other(dir.try_clone()?, stat));
            }
            break;
        }
        let fd = tree::open_name(dir.as_fd(), name, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let opaque = is_opaque(fd.as_fd())?;
        merged.push(fd);
        if opaque {
            break;
        }
    }
    Ok(if merged.is_empty() { Step::Missing } else { Step::Directories(merged) })
}

/// Whether a status is that of a whiteout: the character device 0:0.
pub(crate) fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

fn is_opaque(dir: BorrowedFd<'_>) -> io::Result<bool> {
    let value = tree::get_xattr(Target::Fd(dir), OsStr::from_bytes(OPAQUE.as_bytes()))?;
    Ok(value.as_deref() == Some(b"y"))
}
