//! The directories of the layer, in memory, and a few of them open.
//!
//! A layer is unpacked into an empty tree, so every directory in it was made here and is known. That makes finding the
//! parent of an entry a walk through a map instead of system calls, tells which directories the archive never named,
//! and remembers what can only be set once a directory is full: its times above all. It costs some 200 bytes per
//! directory, which the limit on directories bounds.

use dhow_sys::tree::{self, FileTime, Tree};
use rustix::fs::OFlags;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::rc::Rc;

/// A directory of this layer, as long as it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DirectoryId(u32);

/// The root of the layer.
pub(super) const ROOT: DirectoryId = DirectoryId(0);

/// What is known of a directory.
pub(super) struct Directory {
    parent: DirectoryId,
    name: Box<[u8]>,
    /// Directories only.
    children: BTreeMap<Box<[u8]>, DirectoryId>,
    gone: bool,
    /// An entry of the archive describes it.
    pub(super) named: bool,
    /// No entry describes it so far, and there may be one below that should have.
    pub(super) needs_below: bool,
    /// Hides what is below it.
    pub(super) opaque: bool,
    pub(super) group: u32,
    pub(super) later: Later,
}

/// What is set at the end.
pub(super) struct Later {
    pub(super) mode: Option<u32>,
    pub(super) time: FileTime,
    /// Access lists: a default one would be handed on to what is made inside.
    pub(super) xattrs: Vec<(OsString, Vec<u8>)>,
}

/// Directories kept open.
const OPEN: usize = 64;

pub(super) struct Directories<'a> {
    tree: &'a Tree,
    known: Vec<Directory>,
    /// Most recently used first.
    open: Vec<(DirectoryId, Rc<OwnedFd>)>,
}

impl<'a> Directories<'a> {
    pub(super) fn new(tree: &'a Tree, group: u32) -> Directories<'a> {
        let root = Directory {
            parent: ROOT,
            name: Box::default(),
            children: BTreeMap::new(),
            gone: false,
            named: false,
            needs_below: false,
            opaque: false,
            group,
            later: Later { mode: None, time: FileTime { seconds: 0, nanoseconds: 0 }, xattrs: Vec::new() },
        };
        Directories { tree, known: vec![root], open: Vec::new() }
    }

    /// How many have been made, those that are gone included: each takes memory.
    pub(super) fn count(&self) -> usize {
        self.known.len()
    }

    pub(super) fn get(&self, id: DirectoryId) -> &Directory {
        &self.known[id.0 as usize]
    }

    pub(super) fn get_mut(&mut self, id: DirectoryId) -> &mut Directory {
        &mut self.known[id.0 as usize]
    }

    pub(super) fn child(&self, of: DirectoryId, name: &[u8]) -> Option<DirectoryId> {
        self.get(of).children.get(name).copied()
    }

    /// The directory above; the root is above itself.
    pub(super) fn parent(&self, of: DirectoryId) -> DirectoryId {
        self.get(of).parent
    }

    /// Records a directory that was just made.
    pub(super) fn add(&mut self, parent: DirectoryId, name: &[u8], group: u32, later: Later) -> DirectoryId {
        let id = DirectoryId(u32::try_from(self.known.len()).expect("the limit on directories is far below"));
        self.known.push(Directory {
            parent,
            name: name.into(),
            children: BTreeMap::new(),
            gone: false,
            named: false,
            needs_below: false,
            opaque: false,
            group,
            later,
        });
        self.get_mut(parent).children.insert(name.into(), id);
        id
    }

    /// Forgets a directory and all beneath; they have been removed from the tree.
    pub(super) fn remove(&mut self, id: DirectoryId) {
        let (parent, name) = (self.parent(id), std::mem::take(&mut self.get_mut(id).name));
        self.get_mut(parent).children.remove(&name);
        let mut doomed = vec![id];
        while let Some(id) = doomed.pop() {
            let directory = self.get_mut(id);
            directory.gone = true;
            directory.name = Box::default();
            directory.later.xattrs = Vec::new();
            doomed.extend(std::mem::take(&mut directory.children).into_values());
        }
        let known = &self.known;
        self.open.retain(|(id, _)| !known[id.0 as usize].gone);
    }

    /// All directories that are there, in the order they were made.
    pub(super) fn all(&self) -> impl Iterator<Item = DirectoryId> + use<> {
        let there: Vec<DirectoryId> =
            (0..).zip(&self.known).filter(|(_, d)| !d.gone).map(|(at, _)| DirectoryId(at)).collect();
        there.into_iter()
    }

    /// A directory and all beneath it.
    pub(super) fn beneath(&self, id: DirectoryId) -> Vec<DirectoryId> {
        let mut found = vec![id];
        let mut at = 0;
        while let Some(&next) = found.get(at) {
            found.extend(self.get(next).children.values());
            at += 1;
        }
        found
    }

    /// Its name in the directory above.
    pub(super) fn name(&self, id: DirectoryId) -> OsString {
        OsStr::from_bytes(&self.get(id).name).to_owned()
    }

    /// Its path from the root of the layer, without symbolic links; empty for the root.
    pub(super) fn path(&self, id: DirectoryId) -> PathBuf {
        let mut names = Vec::new();
        let mut at = id;
        while at != ROOT {
            names.push(&*self.get(at).name);
            at = self.parent(at);
        }
        names.reverse();
        PathBuf::from(OsString::from_vec(names.join(&b'/')))
    }

    /// Whether it, or a directory above it, hides what is below.
    pub(super) fn is_cut_off(&self, id: DirectoryId) -> bool {
        let mut at = id;
        while !self.get(at).opaque {
            if at == ROOT {
                return false;
            }
            at = self.parent(at);
        }
        true
    }

    /// An fd to make names with (`O_PATH`).
    pub(super) fn fd(&mut self, id: DirectoryId) -> io::Result<Rc<OwnedFd>> {
        if let Some(at) = self.open.iter().position(|(open, _)| *open == id) {
            // Archives stay in a directory for a while: mostly this is the first.
            self.open[..=at].rotate_right(1);
            return Ok(Rc::clone(&self.open[0].1));
        }
        let fd = Rc::new(self.open_place(id)?);
        self.open.truncate(OPEN - 1);
        self.open.insert(0, (id, Rc::clone(&fd)));
        Ok(fd)
    }

    fn open_place(&self, id: DirectoryId) -> io::Result<OwnedFd> {
        if id == ROOT {
            return self.tree.root().try_clone_to_owned();
        }
        let directory = self.get(id);
        match self.open.iter().find(|(open, _)| *open == directory.parent) {
            Some((_, above)) => {
                tree::open_name(above.as_fd(), OsStr::from_bytes(&directory.name), OFlags::PATH | OFlags::DIRECTORY)
            }
            None => self.tree.open_directory(&self.path(id)),
        }
    }

    /// An fd of the directory itself, for its attributes.
    pub(super) fn open_itself(&mut self, id: DirectoryId) -> io::Result<OwnedFd> {
        if id == ROOT {
            return self.tree.root().try_clone_to_owned();
        }
        let (above, name) = (self.fd(self.parent(id))?, self.name(id));
        tree::open_name(above.as_fd(), &name, OFlags::RDONLY | OFlags::DIRECTORY)
    }

    pub(super) fn root_fd(&self) -> BorrowedFd<'a> {
        self.tree.root()
    }
}
