//! From the path of an entry to the directory that it goes into.
//!
//! The path is walked in memory; the file system is asked only about names that are no directories of this layer. A
//! symbolic link is followed as a process inside the layer would follow it, `..` in its target included: both stay
//! beneath the root, because the walk itself knows no way out. Where this layer has nothing, the layers below are asked,
//! so the walk sees what the merged file system will show; what it goes through is copied up as directories.

use super::apply::{Layer, failed, os, refused};
use super::attributes::Attributes;
use super::directories::{DirectoryId, ROOT};
use crate::below::{Lower, is_whiteout};
use crate::{Entry, RootfsError};
use dhow_sys::tree::{self, Target};
use rustix::fs::FileType;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;

/// As many links as the kernel follows in one path.
const MAX_LINKS: usize = 40;

/// What is under a name that is no directory of this layer.
enum Found {
    /// A symbolic link of this layer or of one below.
    Symlink(Vec<u8>),
    /// A deletion mark of this layer.
    Whiteout,
    /// Nothing, here and below.
    Nothing,
    /// Nothing here; what is below is not known.
    Unknown,
    /// A directory of a lower layer.
    Lower(OwnedFd),
    /// Something that nothing can be in.
    File,
}

impl Layer<'_> {
    pub(super) fn fd(&mut self, id: DirectoryId, entry: &Entry) -> Result<Rc<OwnedFd>, RootfsError> {
        self.directories.fd(id).map_err(failed("open the directory", entry))
    }

    /// The directory that these components lead to. What is missing on the way is made.
    pub(super) fn parent(&mut self, components: &[&[u8]], entry: &Entry) -> Result<DirectoryId, RootfsError> {
        if let Some((path, id)) = &self.recent
            && path.iter().map(|c| &**c).eq(components.iter().copied())
        {
            return Ok(*id);
        }
        let mut at = ROOT;
        let mut links = 0;
        let mut ahead: Vec<Box<[u8]>> = components.iter().rev().map(|&c| c.into()).collect();
        while let Some(name) = ahead.pop() {
            if &*name == b".." {
                at = self.directories.parent(at);
                continue;
            }
            if let Some(id) = self.directories.child(at, &name) {
                at = id;
                continue;
            }
            match self.look(at, &name, entry)? {
                Found::Symlink(target) => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(refused(entry, "its path goes through too many symbolic links"));
                    }
                    if target.starts_with(b"/") {
                        at = ROOT;
                    }
                    let steps = target.split(|&b| b == b'/').filter(|step| !matches!(*step, b"" | b"."));
                    ahead.extend(steps.rev().map(Box::from));
                }
                Found::File => return Err(refused(entry, "its path goes through something that is no directory")),
                found => at = self.imply(at, &name, found, entry)?,
            }
        }
        if links == 0 {
            self.recent = Some((components.iter().map(|&c| c.into()).collect(), at));
        }
        Ok(at)
    }

    fn look(&mut self, at: DirectoryId, name: &[u8], entry: &Entry) -> Result<Found, RootfsError> {
        let fd = self.fd(at, entry)?;
        let failed = failed("look up the path", entry);
        match tree::status(fd.as_fd(), os(name)) {
            Ok(None) => self.look_below(at, name),
            Ok(Some(stat)) if is_whiteout(&stat) => Ok(Found::Whiteout),
            Ok(Some(stat)) if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink => {
                let target = tree::read_link(fd.as_fd(), os(name)).map_err(failed)?;
                Ok(Found::Symlink(target.as_bytes().to_vec()))
            }
            Ok(Some(_)) => Ok(Found::File),
            Err(e) => Err(failed(e)),
        }
    }

    fn look_below(&mut self, at: DirectoryId, name: &[u8]) -> Result<Found, RootfsError> {
        if self.directories.is_cut_off(at) {
            return Ok(Found::Nothing);
        }
        if self.bottom {
            // On top of other layers it would look different.
            self.asked_below = true;
            return Ok(Found::Nothing);
        }
        let Some(below) = self.below else { return Ok(Found::Unknown) };
        self.asked_below = true;
        let path = self.directories.path(at).join(os(name));
        Ok(match below.lookup(&path)? {
            Lower::Missing => Found::Nothing,
            Lower::Directory(fd) => Found::Lower(fd),
            Lower::Other(file) if file.kind() == FileType::Symlink => {
                let target = tree::read_link(file.dir.as_fd(), &file.name);
                let target =
                    target.map_err(|source| RootfsError::Below { operation: "read the link", path, source })?;
                Found::Symlink(target.as_bytes().to_vec())
            }
            Lower::Other(_) => Found::File,
        })
    }

    /// Makes a directory that no entry has named so far.
    fn imply(&mut self, at: DirectoryId, name: &[u8], found: Found, entry: &Entry) -> Result<DirectoryId, RootfsError> {
        let attributes = match &found {
            Found::Lower(fd) => {
                let stat = rustix::fs::fstat(fd).map_err(std::io::Error::from);
                let read = stat.and_then(|stat| Attributes::of_lower(&stat, Target::Fd(fd.as_fd())));
                read.map_err(|source| RootfsError::Below {
                    operation: "read the metadata of",
                    path: self.directories.path(at).join(os(name)),
                    source,
                })?
            }
            _ => Attributes::plain_directory(entry),
        };
        self.clear_for_directory(at, name, &attributes, entry)?;
        let id = self.describe_new(at, name, &attributes, entry)?;
        match found {
            Found::Unknown => self.directories.get_mut(id).needs_below = true,
            Found::Whiteout => self.hide_below(id, entry)?,
            _ => {}
        }
        Ok(id)
    }
}
