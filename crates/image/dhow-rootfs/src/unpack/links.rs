//! Hard links, and copying up the lower file that one may point to.
//!
//! A hard link is another name of a file of the *image*. When that file is in a lower layer, overlayfs would copy it up
//! before linking; so it is copied here, to its own path, and then linked.

use super::apply::{Layer, failed, os, refused};
use super::attributes::Attributes;
use super::directories::DirectoryId;
use super::files::write_all;
use super::names::components;
use crate::below::{Lower, LowerFile, is_whiteout};
use crate::{Entry, RootfsError};
use dhow_sys::tree::{self, Target};
use rustix::fs::{FileType, OFlags, SeekFrom};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

impl Layer<'_> {
    pub(super) fn make_link(
        &mut self,
        at: DirectoryId,
        name: &[u8],
        target: &[u8],
        entry: &Entry,
    ) -> Result<(), RootfsError> {
        let refuse = |why| refused(entry, why);
        let mut parents =
            components(target).map_err(|_| refuse("the target of its hard link leads out of the layer"))?;
        let old_name = parents.pop().ok_or_else(|| refuse("its hard link points to the root directory"))?;
        let old_at = self.parent(&parents, entry)?;
        if (old_at, old_name) == (at, name) {
            // A name of itself, which it is.
            return self.check_target(old_at, old_name, target, entry).map(|_| ());
        }
        if !self.check_target(old_at, old_name, target, entry)? {
            return Ok(());
        }
        let (old_dir, dir) = (self.fd(old_at, entry)?, self.fd(at, entry)?);
        let linked = self.replacing(at, name, entry, "make the hard link", || {
            tree::link(old_dir.as_fd(), os(old_name), dir.as_fd(), os(name))
        });
        match linked {
            Ok(_) => Ok(()),
            // What had the new name before held the target.
            Err(RootfsError::Apply { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Err(missing(entry, target))
            }
            Err(e) => Err(e),
        }
    }

    /// Makes sure that the target of a hard link is in this layer. `false`: it is not, and only the layers below,
    /// which are not given, could tell.
    fn check_target(
        &mut self,
        at: DirectoryId,
        name: &[u8],
        target: &[u8],
        entry: &Entry,
    ) -> Result<bool, RootfsError> {
        let dir = self.fd(at, entry)?;
        let status = tree::status(dir.as_fd(), os(name)).map_err(failed("look up the target", entry))?;
        match status {
            Some(stat) if is_whiteout(&stat) => Err(missing(entry, target)),
            Some(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                Err(refused(entry, "its hard link points to a directory"))
            }
            Some(_) => Ok(true),
            None if self.bottom || self.directories.is_cut_off(at) => Err(missing(entry, target)),
            None => match self.below {
                Some(below) => {
                    self.asked_below = true;
                    let path = self.directories.path(at).join(os(name));
                    match below.lookup(&path)? {
                        Lower::Missing => Err(missing(entry, target)),
                        Lower::Directory(_) => Err(refused(entry, "its hard link points to a directory")),
                        Lower::Other(file) => self.copy_up(&file, &path, at, entry).map(|()| true),
                    }
                }
                None => {
                    self.missing = Some(PathBuf::from(OsStr::from_bytes(target)));
                    Ok(false)
                }
            },
        }
    }

    fn copy_up(&mut self, lower: &LowerFile, path: &Path, at: DirectoryId, entry: &Entry) -> Result<(), RootfsError> {
        let unreadable = |source| RootfsError::Below { operation: "read", path: path.to_owned(), source };
        let from = Target::Name(lower.dir.as_fd(), &lower.name);
        let attributes = Attributes::of_lower(&lower.stat, from).map_err(unreadable)?;
        let dir = self.fd(at, entry)?;
        let (kind, mode) = (lower.kind(), attributes.mode & 0o777);
        let copy = failed("copy the target of the hard link from a lower layer", entry);
        match kind {
            FileType::RegularFile => {
                let flags = OFlags::RDONLY | OFlags::NONBLOCK;
                let source = tree::open_name(lower.dir.as_fd(), &lower.name, flags).map_err(unreadable)?;
                let file = tree::create_file(dir.as_fd(), &lower.name, mode).map_err(copy)?;
                let size = u64::try_from(lower.stat.st_size).unwrap_or(0);
                self.copy_content(source.as_fd(), file.as_fd(), size, entry)?;
                self.size = self.size.saturating_add(size);
                return self.describe(Target::Fd(file.as_fd()), at, &attributes, entry, false);
            }
            FileType::Symlink => {
                let target = tree::read_link(lower.dir.as_fd(), &lower.name).map_err(unreadable)?;
                tree::symlink(&target, dir.as_fd(), &lower.name).map_err(copy)?;
            }
            FileType::Fifo => tree::make_fifo(dir.as_fd(), &lower.name, mode).map_err(copy)?,
            FileType::CharacterDevice | FileType::BlockDevice => {
                tree::make_node(dir.as_fd(), &lower.name, kind, mode, lower.stat.st_rdev).map_err(copy)?;
            }
            _ => return Err(refused(entry, "its hard link points to a socket")),
        }
        let made = Target::Name(dir.as_fd(), &lower.name);
        self.describe(made, at, &attributes, entry, kind == FileType::Symlink)
    }

    /// Copies content run by run, so that holes stay holes.
    fn copy_content(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        size: u64,
        entry: &Entry,
    ) -> Result<(), RootfsError> {
        let fail = |e: Errno| failed("copy the target of the hard link from a lower layer", entry)(e.into());
        let mut buffer = vec![0u8; 128 << 10];
        let mut at = 0;
        loop {
            let start = match rustix::fs::seek(from, SeekFrom::Data(at)) {
                Ok(start) => start,
                // No more data.
                Err(Errno::NXIO) => break,
                Err(e) => return Err(fail(e)),
            };
            let end = rustix::fs::seek(from, SeekFrom::Hole(start)).map_err(fail)?;
            at = start;
            while at < end {
                let room = usize::try_from(end - at).unwrap_or(usize::MAX).min(buffer.len());
                let n = match rustix::io::pread(from, &mut buffer[..room], at) {
                    Ok(0) => break,
                    Ok(n) => n,
                    Err(Errno::INTR) => continue,
                    Err(e) => return Err(fail(e)),
                };
                if !self.space.may_write(n as u64).map_err(failed("look at the file system", entry))? {
                    return Err(self.no_room(entry));
                }
                write_all(to, &buffer[..n], at).map_err(failed("write", entry))?;
                at += n as u64;
            }
            at = end;
        }
        rustix::fs::ftruncate(to, size).map_err(fail)
    }
}

fn missing(entry: &Entry, target: &[u8]) -> RootfsError {
    RootfsError::MissingTarget { entry: entry.as_path().to_owned(), target: PathBuf::from(OsStr::from_bytes(target)) }
}
