//! A directory for one test, an implementation in it, and trees read back through a mount.

use crate::model::{Item, Kind, Layer, Tree};
use dhow_rootfs::mount_plan::probe;
use dhow_rootfs::snapshots::{Copy, Overlay, Snapshots, Stack};
use std::collections::HashMap;
use std::ffi::CStr;
use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

pub(crate) struct Bench {
    pub(crate) dir: PathBuf,
    pub(crate) snapshots: Box<dyn Snapshots>,
}

impl Bench {
    pub(crate) fn overlay(check: &str) -> Bench {
        let dir = scratch(&format!("overlay-{check}"));
        Bench { snapshots: Box::new(Overlay::new(dir.join("base"), probe())), dir }
    }

    pub(crate) fn copy(check: &str) -> Bench {
        let dir = scratch(&format!("copy-{check}"));
        Bench { snapshots: Box::new(Copy::new(dir.join("base"))), dir }
    }

    /// Writes the layers out, bottom first.
    pub(crate) fn stack(&self, layers: &[Layer]) -> Stack {
        Stack::from_bottom(layers.iter().enumerate().map(|(n, layer)| {
            let dir = self.dir.join("layers").join(format!("sha256-{n:064x}"));
            layer.write(&dir);
            dir
        }))
    }

    /// Checks that view and active of these layers show what the model says.
    pub(crate) fn shows_what_the_model_says(&self, layers: &[Layer]) {
        let stack = self.stack(layers);
        let expected = Tree::of(layers);
        let view = self.snapshots.view("view", &stack).unwrap();
        assert_same(&read(&view.mount().unwrap()), &expected, "view");
        self.snapshots.release(view).unwrap();
        let active = self.snapshots.prepare("active", &stack).unwrap();
        assert_same(&read(&active.mount().unwrap()), &expected, "active");
        self.snapshots.discard(active).unwrap();
    }

    /// The names in the base directory, but for the implementation's own.
    pub(crate) fn ids(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.dir.join("base")) else { return Vec::new() };
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| !name.starts_with('.')).collect()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

pub(crate) fn scratch(name: &str) -> PathBuf {
    assert!(rustix::process::geteuid().is_root(), "these tests mount file systems: run them as root");
    let dir = std::env::temp_dir().join(format!("dhow-snapshots-{}-{name}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    dir
}

pub(crate) fn path_of(mount: &OwnedFd) -> PathBuf {
    format!("/proc/self/fd/{}/.", mount.as_raw_fd()).into()
}

/// The tree under a mount.
pub(crate) fn read(mount: &OwnedFd) -> Tree {
    read_path(&path_of(mount))
}

/// The tree under a path; marks of the overlay included only where they can be seen.
pub(crate) fn read_path(root: &Path) -> Tree {
    let mut tree = Tree::default();
    let mut inodes = HashMap::new();
    let mut waiting = vec![String::new()];
    while let Some(path) = waiting.pop() {
        let host = root.join(&path);
        let stat = fs::symlink_metadata(&host).unwrap_or_else(|e| panic!("{path}: {e}"));
        let kind = kind(&host, &stat);
        if kind == Kind::Directory {
            for entry in fs::read_dir(&host).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                waiting.push(if path.is_empty() { name } else { format!("{path}/{name}") });
            }
        } else {
            inodes.entry(stat.ino()).or_insert_with(Vec::new).push(path.clone());
        }
        let item = Item {
            mode: if kind.is_symlink() { 0o777 } else { stat.mode() & 0o7777 },
            kind,
            owner: (stat.uid(), stat.gid()),
            mtime: (stat.mtime(), u32::try_from(stat.mtime_nsec()).unwrap()),
            attributes: attributes(&host),
            inode: 0,
        };
        tree.items.insert(path, item);
    }
    for (n, names) in inodes.into_values().enumerate() {
        for name in names {
            tree.items.get_mut(&name).unwrap().inode = n + 1;
        }
    }
    tree
}

fn kind(host: &Path, stat: &fs::Metadata) -> Kind {
    let kind = stat.file_type();
    match () {
        () if kind.is_dir() => Kind::Directory,
        () if kind.is_symlink() => Kind::Symlink(fs::read_link(host).unwrap().into_os_string().into_string().unwrap()),
        () if kind.is_file() => Kind::File(fs::read(host).unwrap()),
        () if kind.is_fifo() => Kind::Fifo,
        () if kind.is_socket() => Kind::Socket,
        () if kind.is_char_device() => Kind::Character(stat.rdev()),
        () => Kind::Block(stat.rdev()),
    }
}

fn attributes(host: &Path) -> Vec<(String, Vec<u8>)> {
    let mut names = vec![0u8; 4096];
    let n = rustix::fs::llistxattr(host, names.as_mut_slice()).unwrap();
    let mut found: Vec<(String, Vec<u8>)> = names[..n]
        .split_inclusive(|&b| b == 0)
        .map(|name| {
            let name = CStr::from_bytes_with_nul(name).unwrap();
            let mut value = vec![0u8; 4096];
            let n = rustix::fs::lgetxattr(host, name, value.as_mut_slice()).unwrap();
            (name.to_str().unwrap().to_owned(), value[..n].to_vec())
        })
        .collect();
    found.sort();
    found
}

/// Compares trees; hard links by which names are one file, not by inode numbers.
pub(crate) fn assert_same(got: &Tree, expected: &Tree, what: &str) {
    let (got, expected) = (got.clone().with_canonical_inodes(), expected.clone().with_canonical_inodes());
    let names = |tree: &Tree| tree.items.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&got), names(&expected), "names in the {what}");
    for (path, item) in &expected.items {
        assert_eq!(&got.items[path], item, "{path:?} in the {what}");
    }
}
