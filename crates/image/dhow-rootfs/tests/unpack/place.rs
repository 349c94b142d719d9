//! Temporary directories, and a description of what is in one that two trees can be compared by.

use dhow_rootfs::{Below, Limits, NoObserver, Outcome, RootfsError, UnpackJob, Unpacked, unpack};
use dhow_sys::tree::{self, Target, Tree};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A directory that is removed in the end, by the code that is under test elsewhere.
pub(crate) struct Place {
    pub(crate) path: PathBuf,
}

impl Place {
    pub(crate) fn new() -> Place {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("dhow-unpack-{}-{n}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Place { path }
    }

    pub(crate) fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }

    pub(crate) fn tree(&self, name: &str) -> Tree {
        Tree::create(&self.join(name)).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let parent = Tree::open(self.path.parent().unwrap()).unwrap();
        tree::remove_all(parent.root(), self.path.file_name().unwrap()).unwrap();
    }
}

/// Unpacks an archive into `place/name`, above `below` (top first).
pub(crate) fn unpack_above(
    place: &Place,
    name: &str,
    archive: &[u8],
    below: Option<&[PathBuf]>,
    bottom: bool,
) -> Result<Outcome, RootfsError> {
    let tree = place.tree(name);
    let below = below.map(|layers| Below::open(layers).unwrap());
    let limits = Limits { keep_free: 0, ..Limits::default() };
    let job = UnpackJob { below: below.as_ref(), bottom, hash: false, observer: &mut NoObserver, limits };
    unpack(&mut &archive[..], &tree, job)
}

/// Unpacks a bottom layer into `place/layer`.
pub(crate) fn unpack_bottom(place: &Place, archive: &[u8]) -> Result<Unpacked, RootfsError> {
    unpack_above(place, "layer", archive, None, true).map(unpacked)
}

/// Unpacks an upper layer, alone, into `place/layer`.
pub(crate) fn unpack_alone(place: &Place, archive: &[u8]) -> Result<Outcome, RootfsError> {
    unpack_above(place, "layer", archive, None, false)
}

pub(crate) fn unpacked(outcome: Outcome) -> Unpacked {
    match outcome {
        Outcome::Unpacked(unpacked) => unpacked,
        other => panic!("needs the layers below: {other:?}"),
    }
}

/// Everything that can be known of a file, but for its inode number and the time of its last change.
#[derive(Debug, PartialEq, Eq, Clone)]
pub(crate) struct Seen {
    pub(crate) kind: char,
    pub(crate) mode: u32,
    pub(crate) owner: (u32, u32),
    pub(crate) mtime: (i64, i64),
    pub(crate) content: Vec<u8>,
    pub(crate) device: u64,
    pub(crate) links: u64,
    /// The first path, in order, that is the same inode.
    pub(crate) same_as: PathBuf,
    pub(crate) xattrs: BTreeMap<String, Vec<u8>>,
    /// It takes less room than it is long.
    pub(crate) has_holes: bool,
}

/// All files beneath `root`, itself as the empty path.
pub(crate) fn look(root: &Path) -> BTreeMap<PathBuf, Seen> {
    let mut seen = BTreeMap::new();
    let mut inodes = BTreeMap::new();
    let mut ahead = vec![PathBuf::new()];
    while let Some(path) = ahead.pop() {
        let full = if path.as_os_str().is_empty() { root.to_owned() } else { root.join(&path) };
        let meta = full.symlink_metadata().unwrap();
        if meta.is_dir() {
            ahead.extend(std::fs::read_dir(&full).unwrap().map(|e| path.join(e.unwrap().file_name())));
        }
        inodes.entry(meta.ino()).or_insert_with(Vec::new).push(path.clone());
        seen.insert(path, describe(&full));
    }
    for paths in inodes.into_values() {
        let first = paths.iter().min().unwrap().clone();
        for path in paths {
            seen.get_mut(&path).unwrap().same_as = first.clone();
        }
    }
    seen
}

/// One file.
pub(crate) fn describe(full: &Path) -> Seen {
    let meta = full.symlink_metadata().unwrap();
    let kind = meta.file_type();
    let (kind, content) = match () {
        () if kind.is_dir() => ('d', vec![]),
        () if kind.is_symlink() => ('l', std::fs::read_link(full).unwrap().into_os_string().into_encoded_bytes()),
        () if kind.is_file() => ('f', std::fs::read(full).unwrap()),
        () if kind.is_char_device() => ('c', vec![]),
        () if kind.is_block_device() => ('b', vec![]),
        () if kind.is_fifo() => ('p', vec![]),
        () => ('?', vec![]),
    };
    Seen {
        kind,
        mode: meta.mode() & 0o7777,
        owner: (meta.uid(), meta.gid()),
        mtime: (meta.mtime(), meta.mtime_nsec()),
        content,
        device: if kind == 'c' || kind == 'b' { meta.rdev() } else { 0 },
        links: if kind == 'd' { 0 } else { meta.nlink() },
        same_as: PathBuf::new(),
        xattrs: xattrs(full),
        has_holes: kind == 'f' && meta.blocks() * 512 < meta.size(),
    }
}

pub(crate) fn xattrs(full: &Path) -> BTreeMap<String, Vec<u8>> {
    let parent = Tree::open(full.parent().unwrap()).unwrap();
    let target = Target::Name(parent.as_fd(), full.file_name().unwrap());
    let names = tree::list_xattrs(target).unwrap();
    names.into_iter().map(|n| (n.to_str().unwrap().to_owned(), tree::get_xattr(target, &n).unwrap().unwrap())).collect()
}

pub(crate) fn set_xattr(full: &Path, name: &str, value: &[u8]) {
    let parent = Tree::open(full.parent().unwrap()).unwrap();
    tree::set_xattr(Target::Name(parent.as_fd(), full.file_name().unwrap()), OsStr::new(name), value).unwrap();
}

/// Kind letters by path, for a quick comparison: `["d a", "f a/b"]`. The root is left out.
pub(crate) fn listing(root: &Path) -> Vec<String> {
    look(root)
        .iter()
        .filter(|(p, _)| !p.as_os_str().is_empty())
        .map(|(p, s)| {
            let kind = if s.kind == 'c' && s.device == 0 { 'w' } else { s.kind };
            let opaque = s.xattrs.get("trusted.overlay.opaque").is_some_and(|v| v == b"y");
            format!("{kind}{} {}", if opaque { "!" } else { "" }, p.display())
        })
        .collect()
}
