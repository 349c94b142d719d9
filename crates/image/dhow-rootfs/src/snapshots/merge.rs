//! What a stack of layers shows, written out as one tree.
//!
//! The same rules as the overlay's (overlayfs.rst, "whiteouts and opaque directories"): of each name the topmost layer
//! decides; directories of one name are merged down to a whiteout, another kind of file or an opaque one. Attributes of a
//! merged directory are the topmost's. Hard links hold between names of the same layer.
//!
//! Layers are foreign: nothing is resolved by name but single components, symbolic links are never followed, and the
//! depth of a tree costs memory only. One source directory is open at a time, however many layers there are.

use super::{SnapshotError, clone_file};
use crate::below::{OPAQUE, is_whiteout};
use dhow_sys::tree::{self, Target, Tree};
use rustix::fs::{Dir, FileType, OFlags, Stat};
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Writes what `layers`, top first, show into the empty directory `target`.
pub(super) fn merge(layers: &[PathBuf], target: &Tree) -> Result<(), SnapshotError> {
    if layers.is_empty() {
        return Ok(());
    }
    let mut merge = Merge { layers, target, links: HashMap::new() };
    let mut waiting = vec![Merged { path: PathBuf::new(), layers: (0..layers.len()).collect() }];
    while let Some(directory) = waiting.pop() {
        merge.directory(&directory, &mut waiting)?;
    }
    Ok(())
}

struct Merge<'a> {
    layers: &'a [PathBuf],
    target: &'a Tree,
    /// Where a file with several names was written first, by layer and inode.
    links: HashMap<(usize, u64), PathBuf>,
}

/// A directory of the result, which exists in the target already, empty.
struct Merged {
    /// From the root.
    path: PathBuf,
    /// The layers it is made of, top first.
    layers: Vec<usize>,
}

/// What is known of a name when the layers down to some point have been looked at.
enum Fate {
    /// Lower layers have no say any more.
    Settled,
    /// A directory; lower ones of that name are part of it.
    Open(Vec<usize>),
    /// A directory that is complete.
    Closed(Vec<usize>),
}

impl Merge<'_> {
    fn directory(&mut self, merged: &Merged, waiting: &mut Vec<Merged>) -> Result<(), SnapshotError> {
        let target = self.target_directory(&merged.path)?;
        let mut names: HashMap<OsString, Fate> = HashMap::new();
        for (&layer, more) in merged.layers.iter().zip((0..merged.layers.len()).rev()) {
            let source = self.source_directory(layer, &merged.path)?;
            let fail = |operation| SnapshotError::io(operation, &merged.path);
            for entry in Dir::read_from(&source).map_err(fail("read directory"))? {
                let entry = entry.map_err(fail("read directory"))?;
                let name = OsStr::from_bytes(entry.file_name().to_bytes());
                if !matches!(name.as_bytes(), b"." | b"..") {
                    let step = Step { source: source.as_fd(), layer, name, more: more > 0 };
                    self.name(&step, &mut names, target.as_fd(), &merged.path)
                        .map_err(SnapshotError::io("copy", merged.path.join(name)))?;
                }
            }
        }
        for (name, fate) in names {
            if let Fate::Open(layers) | Fate::Closed(layers) = fate {
                let path = merged.path.join(&name);
                tree::make_directory(target.as_fd(), &name, 0o700).map_err(SnapshotError::io("create", &path))?;
                waiting.push(Merged { path, layers });
            }
        }
        // Now, as everything in it has been made and later writes happen further down: its time stays, and a default
        // access list in its attributes is handed on to nobody.
        let top = self.source_directory(merged.layers[0], &merged.path)?;
        clone_file::copy_directory_attributes(top.as_fd(), target.as_fd())
            .map_err(SnapshotError::io("set the attributes of", &merged.path))
    }

    fn name(
        &mut self,
        step: &Step<'_>,
        names: &mut HashMap<OsString, Fate>,
        target: BorrowedFd<'_>,
        path: &Path,
    ) -> io::Result<()> {
        let known = names.get_mut(step.name);
        if matches!(known, Some(Fate::Settled | Fate::Closed(_))) {
            return Ok(());
        }
        let stat = tree::status(step.source, step.name)?.ok_or(io::ErrorKind::NotFound)?;
        let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        let fate = match known {
            Some(Fate::Open(layers)) if is_directory => {
                layers.push(step.layer);
                let layers = std::mem::take(layers);
                if step.ends_here()? { Fate::Closed(layers) } else { Fate::Open(layers) }
            }
            Some(Fate::Open(layers)) => Fate::Closed(std::mem::take(layers)),
            _ if is_directory && step.ends_here()? => Fate::Closed(vec![step.layer]),
            _ if is_directory => Fate::Open(vec![step.layer]),
            _ => {
                if !is_whiteout(&stat) {
                    self.file(step, &stat, target, path)?;
                }
                Fate::Settled
            }
        };
        names.insert(step.name.to_owned(), fate);
        Ok(())
    }

    /// Copies what is no directory, or links it to the name it was copied to before.
    fn file(&mut self, step: &Step<'_>, stat: &Stat, target: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
        if stat.st_nlink > 1 {
            let key = (step.layer, stat.st_ino);
            if let Some(first) = self.links.get(&key) {
                let parent = first.parent().unwrap_or(Path::new(""));
                let directory = self.target.open_directory(parent)?;
                let name = first.file_name().expect("it was joined with a name");
                return tree::link(directory.as_fd(), name, target, step.name);
            }
            self.links.insert(key, path.join(step.name));
        }
        clone_file::copy_file(step.source, step.name, stat, target)
    }

    fn source_directory(&self, layer: usize, path: &Path) -> Result<OwnedFd, SnapshotError> {
        let root = Tree::open(&self.layers[layer]).map_err(SnapshotError::io("open layer", &self.layers[layer]))?;
        open(&root, path).map_err(SnapshotError::io("open", self.layers[layer].join(path)))
    }

    fn target_directory(&self, path: &Path) -> Result<OwnedFd, SnapshotError> {
        open(self.target, path).map_err(SnapshotError::io("open", path))
    }
}

fn open(tree: &Tree, path: &Path) -> io::Result<OwnedFd> {
    tree::open_beneath(tree.root(), path, OFlags::RDONLY | OFlags::DIRECTORY)
}

/// One name in one layer's part of a directory.
struct Step<'a> {
    source: BorrowedFd<'a>,
    layer: usize,
    name: &'a OsStr,
    /// Whether there are layers beneath that may have it as well.
    more: bool,
}

impl Step<'_> {
    /// Whether this directory hides those of its name beneath.
    fn ends_here(&self) -> io::Result<bool> {
        let mark = || tree::get_xattr(Target::Name(self.source, self.name), OsStr::new(OPAQUE));
        Ok(!self.more || mark()?.as_deref() == Some(b"y"))
    }
}
