//! The layer being unpacked: takes entries one by one and decides what each becomes.

use super::attributes::{Attributes, Creator};
use super::directories::{Directories, DirectoryId, ROOT};
use super::names::{Meaning, meaning};
use super::space::Space;
use super::{Observer, Outcome, UnpackJob, Unpacked, Unsettled};
use crate::below::{OPAQUE, is_whiteout};
use crate::tar::{Fault, Reader, TarError};
use crate::{Below, Entry, EntryKind, RootfsError};
use dhow_spec::digest::Digest;
use dhow_sys::tree::{self, Target, Tree};
use rustix::fs::FileType;
use std::ffi::OsStr;
use std::io::{self, BufRead};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Bytes of paths to settle later. Paths of nested directories grow with the square of their depth, so a small hostile
/// archive could ask for any amount of memory; it is unpacked again instead.
const MAX_UNNAMED: usize = 16 << 20;

pub(super) struct Layer<'a> {
    pub(super) directories: Directories<'a>,
    pub(super) below: Option<&'a Below>,
    pub(super) bottom: bool,
    pub(super) space: Space<'a>,
    pub(super) creator: Creator,
    pub(super) observer: &'a mut dyn Observer,
    /// The last parent found without a symbolic link in its path, as written: archives stay in a directory.
    pub(super) recent: Option<(Vec<Box<[u8]>>, DirectoryId)>,
    /// The layers below have been asked, so the result is not the archive's alone.
    pub(super) asked_below: bool,
    max_directories: usize,
    /// A hard link needs the layers below, which are not given.
    pub(super) missing: Option<PathBuf>,
    /// Bytes of attributes kept for the end.
    pub(super) kept: usize,
    pub(super) size: u64,
    entries: u64,
    whiteouts: u64,
    /// Bytes that the observer has been told of.
    told: u64,
}

/// What was under a name before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Replaced {
    Nothing,
    Something,
}

/// The name of an entry's file.
pub(super) fn os(name: &[u8]) -> &OsStr {
    OsStr::from_bytes(name)
}

/// An error of the file system about an entry.
pub(super) fn failed(operation: &'static str, entry: &Entry) -> impl FnOnce(io::Error) -> RootfsError {
    let entry = entry.as_path().to_owned();
    move |source| match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            RootfsError::NoSpace { entry, source: Some(source) }
        }
        _ => RootfsError::Apply { operation, entry, source },
    }
}

/// A refusal of an entry.
pub(super) fn refused(entry: &Entry, why: &'static str) -> RootfsError {
    RootfsError::Entry { entry: entry.as_path().to_owned(), why }
}

/// A fault of the archive, or of the stream beneath it.
pub(super) fn archive(error: TarError) -> RootfsError {
    match error {
        TarError { offset, fault: Fault::Read(source), .. } => RootfsError::Read { offset, source },
        other => RootfsError::Archive(other),
    }
}

impl<'a> Layer<'a> {
    pub(super) fn new(tree: &'a Tree, job: &'a mut UnpackJob<'_>) -> Result<Layer<'a>, RootfsError> {
        let creator = Creator::find(tree)?;
        Ok(Layer {
            directories: Directories::new(tree, creator.gid),
            below: job.below,
            bottom: job.bottom,
            space: Space::new(tree.root(), &job.limits),
            creator,
            observer: job.observer,
            recent: None,
            asked_below: false,
            max_directories: job.limits.directories,
            missing: None,
            kept: 0,
            size: 0,
            entries: 0,
            whiteouts: 0,
            told: 0,
        })
    }

    /// Applies the whole archive, and reads its stream to the end.
    pub(super) fn apply(&mut self, reader: &mut Reader<impl BufRead>) -> Result<(), RootfsError> {
        while let Some(entry) = reader.next_entry().map_err(archive)? {
            self.entries += 1;
            self.observer.entry(&entry);
            self.apply_entry(&entry, reader)?;
            self.tell(reader.offset());
            if self.missing.is_some() {
                // Nothing of this tree will be used.
                break;
            }
        }
        reader.drain().map_err(archive)?;
        self.tell(reader.offset());
        Ok(())
    }

    /// Tells the observer how far the stream is.
    pub(super) fn tell(&mut self, offset: u64) {
        if offset > self.told {
            self.observer.bytes(offset - self.told);
            self.told = offset;
        }
    }

    fn apply_entry(&mut self, entry: &Entry, reader: &mut Reader<impl BufRead>) -> Result<(), RootfsError> {
        match meaning(&entry.path).map_err(|why| refused(entry, why))? {
            Meaning::Ignored => Ok(()),
            Meaning::Root => self.describe_root(entry),
            Meaning::Opaque(parents) => {
                let at = self.parent(&parents, entry)?;
                self.hide_below(at, entry)
            }
            Meaning::Whiteout(parents, name) => {
                let at = self.parent(&parents, entry)?;
                self.delete(at, name, entry)
            }
            Meaning::File(parents, name) => {
                let room = self.space.has_room_for(reader.stored());
                if !room.map_err(failed("look at the file system", entry))? {
                    return Err(self.no_room(entry));
                }
                let at = self.parent(&parents, entry)?;
                self.make(at, name, entry, reader)
            }
        }
    }

    fn make(
        &mut self,
        at: DirectoryId,
        name: &[u8],
        entry: &Entry,
        reader: &mut Reader<impl BufRead>,
    ) -> Result<(), RootfsError> {
        match &entry.kind {
            EntryKind::Directory => self.make_directory(at, name, entry),
            EntryKind::File => self.make_file(at, name, entry, reader),
            EntryKind::Symlink { target } => self.make_symlink(at, name, target, entry),
            EntryKind::HardLink { target } => self.make_link(at, name, target, entry),
            EntryKind::Fifo => self.make_special(at, name, FileType::Fifo, 0, entry),
            EntryKind::CharDevice { major: 0, minor: 0 } => {
                Err(refused(entry, "the character device 0:0 stands for a deletion and may not be in an archive"))
            }
            EntryKind::CharDevice { major, minor } => {
                self.make_special(at, name, FileType::CharacterDevice, rustix::fs::makedev(*major, *minor), entry)
            }
            EntryKind::BlockDevice { major, minor } => {
                self.make_special(at, name, FileType::BlockDevice, rustix::fs::makedev(*major, *minor), entry)
            }
        }
    }

    pub(super) fn no_room(&self, entry: &Entry) -> RootfsError {
        RootfsError::NoSpace { entry: entry.as_path().to_owned(), source: None }
    }

    fn describe_root(&mut self, entry: &Entry) -> Result<(), RootfsError> {
        if entry.kind != EntryKind::Directory {
            return Err(refused(entry, "the root of a layer must be a directory"));
        }
        self.describe_again(ROOT, &Attributes::of_entry(entry), entry)
    }

    fn make_directory(&mut self, at: DirectoryId, name: &[u8], entry: &Entry) -> Result<(), RootfsError> {
        let attributes = Attributes::of_entry(entry);
        let id = match self.directories.child(at, name) {
            Some(id) => {
                self.describe_again(id, &attributes, entry)?;
                id
            }
            None => {
                let replaced = self.clear_for_directory(at, name, &attributes, entry)?;
                let id = self.describe_new(at, name, &attributes, entry)?;
                if replaced == Replaced::Something {
                    self.hide_below(id, entry)?;
                }
                id
            }
        };
        let directory = self.directories.get_mut(id);
        directory.named = true;
        directory.needs_below = false;
        Ok(())
    }

    /// Makes the bare directory, in place of whatever file is there.
    pub(super) fn clear_for_directory(
        &mut self,
        at: DirectoryId,
        name: &[u8],
        attributes: &Attributes<'_>,
        entry: &Entry,
    ) -> Result<Replaced, RootfsError> {
        // One entry may imply thousands of directories, so they are counted apart from the entries.
        if self.directories.count() >= self.max_directories {
            return Err(refused(entry, "the layer has too many directories"));
        }
        if !self.space.has_room_for(0).map_err(failed("look at the file system", entry))? {
            return Err(self.no_room(entry));
        }
        let fd = self.fd(at, entry)?;
        // Room for the owner to fill it, until the end.
        let mode = (attributes.mode & 0o777) | 0o700;
        self.replacing(at, name, entry, "make a directory", || tree::make_directory(fd.as_fd(), os(name), mode))
    }

    /// Runs `make`, which makes `name`; if something is there already, once more after removing that.
    pub(super) fn replacing(
        &mut self,
        at: DirectoryId,
        name: &[u8],
        entry: &Entry,
        operation: &'static str,
        mut make: impl FnMut() -> io::Result<()>,
    ) -> Result<Replaced, RootfsError> {
        match make() {
            Ok(()) => Ok(Replaced::Nothing),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                self.remove(at, name, entry)?;
                make().map_err(failed(operation, entry))?;
                Ok(Replaced::Something)
            }
            Err(e) => Err(failed(operation, entry)(e)),
        }
    }

    /// Removes what this layer has under a name, with all beneath.
    pub(super) fn remove(&mut self, at: DirectoryId, name: &[u8], entry: &Entry) -> Result<(), RootfsError> {
        let fd = self.fd(at, entry)?;
        tree::remove_all(fd.as_fd(), os(name)).map_err(failed("remove what an earlier entry made", entry))?;
        if let Some(id) = self.directories.child(at, name) {
            self.directories.remove(id);
            self.recent = None;
        }
        Ok(())
    }

    /// Whether a mark that hides something below would have nothing to hide.
    fn shows_nothing_below(&mut self, at: DirectoryId) -> bool {
        let cut_off = self.directories.is_cut_off(at);
        // On top of other layers there would be a mark.
        self.asked_below |= self.bottom && !cut_off;
        self.bottom || cut_off
    }

    fn delete(&mut self, at: DirectoryId, name: &[u8], entry: &Entry) -> Result<(), RootfsError> {
        self.remove(at, name, entry)?;
        if self.shows_nothing_below(at) {
            return Ok(());
        }
        let fd = self.fd(at, entry)?;
        // The device 0:0 needs no privilege.
        let made = tree::make_node(fd.as_fd(), os(name), FileType::CharacterDevice, 0, 0);
        made.map_err(failed("mark a deletion", entry))?;
        self.whiteouts += 1;
        Ok(())
    }

    /// Marks a directory as opaque.
    pub(super) fn hide_below(&mut self, at: DirectoryId, entry: &Entry) -> Result<(), RootfsError> {
        if self.shows_nothing_below(at) {
            return Ok(());
        }
        let fd = self.directories.open_itself(at).map_err(failed("open the directory", entry))?;
        let set = tree::set_xattr(Target::Fd(fd.as_fd()), os(OPAQUE.as_bytes()), b"y");
        set.map_err(|source| self.xattr_error(entry, OPAQUE.as_bytes(), source))?;
        self.directories.get_mut(at).opaque = true;
        if self.whiteouts > 0 {
            self.drop_whiteouts(at, entry)?;
        }
        Ok(())
    }

    /// Removes deletion marks beneath a directory that has just become opaque: overlayfs would list them, because it
    /// reads a directory that merges with nothing as it is.
    fn drop_whiteouts(&mut self, at: DirectoryId, entry: &Entry) -> Result<(), RootfsError> {
        for id in self.directories.beneath(at) {
            let dir = self.directories.open_itself(id).map_err(failed("open the directory", entry))?;
            let list = || -> io::Result<()> {
                for name in tree::names(dir.as_fd())? {
                    if tree::status(dir.as_fd(), &name)?.is_some_and(|stat| is_whiteout(&stat)) {
                        tree::unlink(dir.as_fd(), &name)?;
                    }
                }
                Ok(())
            };
            list().map_err(failed("remove deletion marks", entry))?;
        }
        Ok(())
    }

    /// Sets what waits for the end, and says what came of the layer.
    pub(super) fn finish(mut self, diff_id: Option<Digest>) -> Result<Outcome, RootfsError> {
        if let Some(path) = self.missing.take() {
            return Ok(Outcome::NeedsBelow { path });
        }
        for id in self.directories.all() {
            self.complete(id).map_err(|source| RootfsError::Apply {
                operation: "set the metadata of",
                entry: self.directories.path(id),
                source,
            })?;
        }
        let mut unnamed = Vec::new();
        let mut bytes = 0;
        for id in self.directories.all().filter(|id| self.directories.get(*id).needs_below) {
            let path = self.directories.path(id);
            bytes += path.as_os_str().len();
            if bytes > MAX_UNNAMED {
                return Ok(Outcome::NeedsBelow { path });
            }
            unnamed.push(path);
        }
        let whole = !self.asked_below && unnamed.is_empty();
        let unpacked = Unpacked { diff_id, size: self.size, entries: self.entries, whole };
        Ok(match unnamed.is_empty() {
            true => Outcome::Unpacked(unpacked),
            false => Outcome::Unsettled(unpacked, Unsettled { directories: unnamed }),
        })
    }
}
