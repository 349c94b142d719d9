//! Owner, mode, times and extended attributes of what is made, with no system call more than it takes.

use super::apply::{Layer, failed, os};
use super::directories::{DirectoryId, Later, ROOT};
use crate::tar::Mtime;
use crate::{Entry, EntryKind, RootfsError};
use dhow_sys::tree::{self, FileTime, Target, Tree};
use rustix::fs::{Mode, Stat};
use rustix::io::Errno;
use std::borrow::Cow;
use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;

/// Bytes of access lists kept for the end. No layer has a thousandth of it.
const MAX_KEPT: usize = 16 << 20;

/// What a new file gets without being asked: the owner is this process, and the umask takes bits away.
pub(super) struct Creator {
    pub(super) uid: u32,
    pub(super) gid: u32,
    umask: u32,
}

impl Creator {
    /// Looks at what the kernel makes of a directory in the (empty) tree. The umask cannot be read without setting it,
    /// for all threads, and access lists of the file system have a say as well.
    pub(super) fn find(tree: &Tree) -> Result<Creator, RootfsError> {
        let failed = |operation| move |source: io::Error| RootfsError::Tree { operation, source };
        let root = tree.root();
        if !tree::is_empty(root).map_err(failed("read"))? {
            return Err(failed("use, because it is not empty,")(io::ErrorKind::DirectoryNotEmpty.into()));
        }
        // No set-group-id bit that would be handed on.
        rustix::fs::fchmod(root, Mode::from_raw_mode(0o755)).map_err(|e| failed("set the mode of")(e.into()))?;
        let probe = OsStr::new(".probe");
        tree::make_directory(root, probe, 0o777).map_err(failed("write to"))?;
        let made = tree::status(root, probe).map_err(failed("read"))?;
        tree::remove_all(root, probe).map_err(failed("write to"))?;
        let mode = made.map_or(0, |stat| stat.st_mode);
        Ok(Creator {
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            umask: 0o777 & !mode,
        })
    }

    /// Whether a file made in a directory of group `parent_group` does not belong to whom it should.
    /// (Some file systems take the group from the directory.)
    fn differs(&self, attributes: &Attributes<'_>, parent_group: u32) -> bool {
        (attributes.uid, attributes.gid) != (self.uid, self.gid) || parent_group != self.gid
    }

    /// Whether a file asked for with these permission bits did not get all of them.
    fn lacks(&self, mode: u32) -> bool {
        mode & (self.umask | 0o7000) != 0
    }
}

/// The metadata of one file, from an entry or from a file of a lower layer.
pub(super) struct Attributes<'e> {
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) time: FileTime,
    pub(super) xattrs: Cow<'e, [(Vec<u8>, Vec<u8>)]>,
}

impl<'e> Attributes<'e> {
    pub(super) fn of_entry(entry: &'e Entry) -> Attributes<'e> {
        Attributes {
            mode: entry.mode,
            uid: entry.uid,
            gid: entry.gid,
            time: file_time(entry.mtime),
            xattrs: Cow::Borrowed(&entry.xattrs),
        }
    }

    /// Of a directory that nothing describes. The time is that of the entry which asks for it, so that unpacking a
    /// layer twice gives the same.
    pub(super) fn plain_directory(entry: &Entry) -> Attributes<'static> {
        Attributes { mode: 0o755, uid: 0, gid: 0, time: file_time(entry.mtime), xattrs: Cow::Borrowed(&[]) }
    }

    /// Of a file of a lower layer.
    pub(super) fn of_lower(stat: &Stat, target: Target<'_>) -> io::Result<Attributes<'static>> {
        let mut xattrs = Vec::new();
        for name in tree::list_xattrs(target)? {
            if let Some(value) = tree::get_xattr(target, &name)? {
                xattrs.push((name.as_bytes().to_vec(), value));
            }
        }
        Ok(Attributes {
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            time: FileTime { seconds: stat.st_mtime, nanoseconds: stat.st_mtime_nsec as u32 },
            xattrs: Cow::Owned(xattrs),
        })
    }
}

fn file_time(time: Mtime) -> FileTime {
    FileTime { seconds: time.seconds, nanoseconds: time.nanoseconds }
}

/// Attributes that steer overlayfs. Only what this crate itself writes may.
pub(super) fn steers_overlay(name: &[u8]) -> bool {
    name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.")
}

impl Layer<'_> {
    /// Sets the metadata of a new file that is no directory. The order matters: chown takes set-id bits and file
    /// capabilities away, and chmod changes access lists.
    pub(super) fn describe(
        &mut self,
        target: Target<'_>,
        at: DirectoryId,
        attributes: &Attributes<'_>,
        entry: &Entry,
        is_symlink: bool,
    ) -> Result<(), RootfsError> {
        if self.creator.differs(attributes, self.directories.get(at).group) {
            tree::set_owner(target, attributes.uid, attributes.gid).map_err(failed("set the owner", entry))?;
        }
        if !is_symlink && self.creator.lacks(attributes.mode) {
            tree::set_mode(target, attributes.mode).map_err(failed("set the mode", entry))?;
        }
        for (name, value) in &*attributes.xattrs {
            self.set_xattr(target, name, value, entry)?;
        }
        tree::set_times(target, attributes.time).map_err(failed("set the time", entry))
    }

    /// Sets the metadata of a directory just made, and records it.
    pub(super) fn describe_new(
        &mut self,
        at: DirectoryId,
        name: &[u8],
        attributes: &Attributes<'_>,
        entry: &Entry,
    ) -> Result<DirectoryId, RootfsError> {
        if self.creator.differs(attributes, self.directories.get(at).group) {
            let fd = self.fd(at, entry)?;
            let set = tree::set_owner(Target::Name(fd.as_fd(), os(name)), attributes.uid, attributes.gid);
            set.map_err(failed("set the owner", entry))?;
        }
        let given = (attributes.mode & 0o777) | 0o700;
        let wrong = given != attributes.mode || self.creator.lacks(attributes.mode);
        let later = Later { mode: wrong.then_some(attributes.mode), time: attributes.time, xattrs: Vec::new() };
        let id = self.directories.add(at, name, attributes.gid, later);
        self.set_directory_xattrs(id, attributes, entry)?;
        Ok(id)
    }

    /// Sets the metadata of a directory that was described before, or implied: nothing of that is left.
    pub(super) fn describe_again(
        &mut self,
        id: DirectoryId,
        attributes: &Attributes<'_>,
        entry: &Entry,
    ) -> Result<(), RootfsError> {
        let fd = self.directories.open_itself(id).map_err(failed("open the directory", entry))?;
        let target = Target::Fd(fd.as_fd());
        tree::set_owner(target, attributes.uid, attributes.gid).map_err(failed("set the owner", entry))?;
        let clear = || -> io::Result<()> {
            for name in tree::list_xattrs(target)? {
                let bytes = name.as_bytes();
                // What else a security module set by itself is not ours to take away.
                if !steers_overlay(bytes) && (bytes.starts_with(b"user.") || bytes.starts_with(b"trusted.")) {
                    tree::remove_xattr(target, &name)?;
                }
            }
            Ok(())
        };
        clear().map_err(failed("clear the attributes", entry))?;
        let directory = self.directories.get_mut(id);
        directory.group = attributes.gid;
        directory.later = Later { mode: Some(attributes.mode), time: attributes.time, xattrs: Vec::new() };
        self.set_directory_xattrs(id, attributes, entry)
    }

    fn set_directory_xattrs(
        &mut self,
        id: DirectoryId,
        attributes: &Attributes<'_>,
        entry: &Entry,
    ) -> Result<(), RootfsError> {
        if attributes.xattrs.is_empty() {
            return Ok(());
        }
        let fd = self.directories.open_itself(id).map_err(failed("open the directory", entry))?;
        for (name, value) in &*attributes.xattrs {
            if !name.starts_with(b"system.") {
                self.set_xattr(Target::Fd(fd.as_fd()), name, value, entry)?;
                continue;
            }
            self.kept += name.len() + value.len();
            if self.kept > MAX_KEPT {
                let why = "the access lists of the layer's directories are too large together";
                return Err(super::apply::refused(entry, why));
            }
            self.directories.get_mut(id).later.xattrs.push((os(name).to_owned(), value.clone()));
        }
        Ok(())
    }

    fn set_xattr(&mut self, target: Target<'_>, name: &[u8], value: &[u8], entry: &Entry) -> Result<(), RootfsError> {
        if steers_overlay(name) {
            return Ok(());
        }
        let Err(source) = tree::set_xattr(target, os(name), value) else { return Ok(()) };
        let privileged = name.starts_with(b"security.") || name.starts_with(b"trusted.");
        // Only regular files and directories can have user attributes: anything else says EPERM.
        let plain = matches!(entry.kind, EntryKind::File | EntryKind::Directory);
        match Errno::from_io_error(&source) {
            Some(Errno::OPNOTSUPP) if !privileged => self.observer.skipped_xattr(entry, name),
            Some(Errno::PERM) if name.starts_with(b"user.") && !plain => self.observer.skipped_xattr(entry, name),
            _ => return Err(self.xattr_error(entry, name, source)),
        }
        Ok(())
    }

    pub(super) fn xattr_error(&self, entry: &Entry, name: &[u8], source: io::Error) -> RootfsError {
        let file_system = tree::file_system_name(self.directories.root_fd());
        RootfsError::Xattr {
            entry: entry.as_path().to_owned(),
            name: String::from_utf8_lossy(name).into_owned(),
            file_system: file_system.unwrap_or_else(|_| "unknown".into()),
            source,
        }
    }

    /// Sets what of a directory's metadata waits until it is full.
    pub(super) fn complete(&mut self, id: DirectoryId) -> io::Result<()> {
        let later = &mut self.directories.get_mut(id).later;
        let (mode, time, xattrs) = (later.mode, later.time, std::mem::take(&mut later.xattrs));
        if mode.is_none() && xattrs.is_empty() && id != ROOT {
            let above = self.directories.fd(self.directories.parent(id))?;
            return tree::set_times(Target::Name(above.as_fd(), &self.directories.name(id)), time);
        }
        let fd = self.directories.open_itself(id)?;
        let target = Target::Fd(fd.as_fd());
        if let Some(mode) = mode {
            tree::set_mode(target, mode)?;
        }
        for (name, value) in xattrs {
            match tree::set_xattr(target, &name, &value) {
                // As for files: a file system without access lists loses them.
                Err(e) if Errno::from_io_error(&e) == Some(Errno::OPNOTSUPP) => {}
                other => other?,
            }
        }
        tree::set_times(target, time)
    }
}
