//! Trees of files, compared entry by entry: types, modes, owners, times, targets, device numbers, extended attributes, hard
//! links and contents. The reference is GNU tar, with whiteouts applied as the OCI image specification says.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CString, OsStr};
use std::fs::{self, File, FileTimes};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Component, Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use super::command::run;
use super::folder::Folder;

/// Everything below a folder, by path relative to it; the folder itself is "".
#[derive(PartialEq, Eq)]
pub(crate) struct Tree(BTreeMap<PathBuf, Node>);

#[derive(Debug, PartialEq, Eq)]
struct Node {
    kind: String,
    mode: String,
    owner: (u32, u32),
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    xattrs: BTreeMap<String, Vec<u8>>,
    /// The other paths of this file.
    links: BTreeSet<PathBuf>,
}

impl Tree {
    pub(crate) fn of(root: &Path) -> Tree {
        let mut nodes = BTreeMap::new();
        let mut files: BTreeMap<(u64, u64), BTreeSet<PathBuf>> = BTreeMap::new();
        read(root, Path::new(""), &mut nodes, &mut files);
        for paths in files.into_values().filter(|paths| paths.len() > 1) {
            for path in &paths {
                nodes.get_mut(path).unwrap().links = paths.clone();
            }
        }
        Tree(nodes)
    }

    /// Without the root directory itself: seen through layers alone, it is the top layer's, whether that names it or not.
    /// What a container sees as its root directory is decided where its writable layer is made.
    pub(crate) fn without_root(mut self) -> Tree {
        self.0.remove(Path::new(""));
        self
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn has(&self, path: &str) -> bool {
        self.0.contains_key(Path::new(path))
    }

    /// The same entries, each the same in everything; else the first differences.
    #[track_caller]
    pub(crate) fn assert_same(&self, expected: &Tree) {
        let paths: BTreeSet<&PathBuf> = self.0.keys().chain(expected.0.keys()).collect();
        let all = paths.len();
        let different: Vec<String> = paths
            .into_iter()
            .filter(|path| self.0.get(*path) != expected.0.get(*path))
            .map(|path| {
                format!(
                    "/{}\n   is       {:?}\n   expected {:?}",
                    path.display(),
                    self.0.get(path),
                    expected.0.get(path)
                )
            })
            .collect();
        let first = different.iter().take(8).cloned().collect::<Vec<_>>().join("\n");
        assert!(different.is_empty(), "{} of {all} entries differ; the first:\n{first}", different.len());
    }
}

fn read(
    root: &Path,
    relative: &Path,
    nodes: &mut BTreeMap<PathBuf, Node>,
    files: &mut BTreeMap<(u64, u64), BTreeSet<PathBuf>>,
) {
    let path = root.join(relative);
    let meta = fs::symlink_metadata(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let node = Node {
        kind: kind(&path, &meta),
        mode: format!("{:04o}", meta.mode() & 0o7777),
        owner: (meta.uid(), meta.gid()),
        modified: (meta.mtime(), meta.mtime_nsec()),
        xattrs: xattrs(&path),
        links: BTreeSet::new(),
    };
    nodes.insert(relative.to_owned(), node);
    if meta.is_dir() {
        for entry in fs::read_dir(&path).unwrap() {
            read(root, &relative.join(entry.unwrap().file_name()), nodes, files);
        }
    } else {
        files.entry((meta.dev(), meta.ino())).or_default().insert(relative.to_owned());
    }
}

/// The type with what belongs to it: a file's size and content, a link's target, a device's number.
fn kind(path: &Path, meta: &fs::Metadata) -> String {
    let kind = meta.file_type();
    if kind.is_dir() {
        "directory".into()
    } else if kind.is_symlink() {
        format!("symlink to {}", fs::read_link(path).unwrap().display())
    } else if kind.is_char_device() || kind.is_block_device() {
        let letter = if kind.is_char_device() { 'c' } else { 'b' };
        format!("device {letter} {:x}", meta.rdev())
    } else if kind.is_fifo() {
        "fifo".into()
    } else if kind.is_file() {
        format!("file of {} bytes, {}", meta.len(), super::digest(&fs::read(path).unwrap()))
    } else {
        "something else".into()
    }
}

fn xattrs(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let path = CString::new(path.as_os_str().as_bytes()).unwrap();
    let mut names = vec![0u8; 65536];
    let length = rustix::fs::llistxattr(&path, &mut names[..]).unwrap_or(0);
    let names = names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty());
    names
        // How an unpacked layer says whiteout; not seen through overlay, and no part of any archive.
        .filter(|name| !name.starts_with(b"trusted.overlay."))
        .map(|name| {
            let mut value = vec![0u8; 65536];
            let length = rustix::fs::lgetxattr(&path, CString::new(name).unwrap(), &mut value[..]).unwrap();
            value.truncate(length);
            (String::from_utf8_lossy(name).into_owned(), value)
        })
        .collect()
}

/// What these plain layer tars (bottom first) make, unpacked one over the other by GNU tar.
pub(crate) fn reference(layers: &[PathBuf]) -> Folder {
    let folder = Folder::new("reference");
    let root = folder.join("root");
    fs::create_dir(&root).unwrap();
    for layer in layers {
        let entries = entries(layer);
        let kept = implied_parents(&root, &entries);
        make_way(&root, &entries);
        let mut tar = Command::new("tar");
        tar.arg("-C").arg(&root).args(["--numeric-owner", "--same-owner", "-p", "--xattrs", "--xattrs-include=*"]);
        // Times of directories last: archives need not be ordered so that a directory's entries come together.
        run(tar.args(["--delay-directory-restore", "--exclude=.wh.*", "-xf"]).arg(layer)).ok();
        for (path, modified) in kept {
            if let Ok(folder) = File::open(&path) {
                folder.set_times(FileTimes::new().set_modified(modified)).unwrap();
            }
        }
    }
    folder
}

/// Paths of an archive, relative, each with whether it is a directory.
fn entries(layer: &Path) -> Vec<(PathBuf, bool)> {
    let mut archive = tar::Archive::new(File::open(layer).unwrap());
    let entries = archive.entries().unwrap().map(|entry| {
        let entry = entry.unwrap();
        let path = PathBuf::from(OsStr::from_bytes(&entry.path_bytes()).to_owned());
        let normal = path.components().filter(|part| matches!(part, Component::Normal(_)));
        (normal.collect(), entry.header().entry_type().is_dir())
    });
    entries.collect()
}

/// Directories that are there, are written into, and are not named by the layer: it says nothing about their times.
fn implied_parents(root: &Path, entries: &[(PathBuf, bool)]) -> Vec<(PathBuf, SystemTime)> {
    let named: BTreeSet<&Path> = entries.iter().map(|(path, _)| path.as_path()).collect();
    let parents: BTreeSet<&Path> = entries.iter().flat_map(|(path, _)| path.ancestors().skip(1)).collect();
    let implied = parents.into_iter().filter(|path| !named.contains(path)).map(|path| root.join(path));
    implied.filter_map(|path| Some((path.clone(), fs::symlink_metadata(&path).ok()?.modified().unwrap()))).collect()
}

/// Removes what the layer hides or replaces by another type: tar knows no whiteouts and does not replace directories.
fn make_way(root: &Path, entries: &[(PathBuf, bool)]) {
    for (path, is_dir) in entries {
        let name = path.file_name().unwrap_or_default().as_bytes();
        let parent = root.join(path.parent().unwrap_or(Path::new("")));
        if name == b".wh..wh..opq" {
            for entry in fs::read_dir(&parent).into_iter().flatten() {
                remove(&entry.unwrap().path());
            }
        } else if let Some(hidden) = name.strip_prefix(b".wh.") {
            remove(&parent.join(std::ffi::OsString::from_vec(hidden.to_vec())));
        } else if fs::symlink_metadata(root.join(path)).is_ok_and(|meta| meta.is_dir() != *is_dir) {
            remove(&root.join(path));
        }
    }
}

fn remove(path: &Path) {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path).unwrap(),
        Ok(_) => fs::remove_file(path).unwrap(),
        Err(_) => {}
    }
}
