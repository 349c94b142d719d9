//! Layers as lists of changes, and what a stack of them shows, computed in memory by other rules than the code under
//! test has: changes are applied one after another, from the bottom up.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Directory,
    File(Vec<u8>),
    Symlink(String),
    Fifo,
    Socket,
    Character(u64),
    Block(u64),
}

impl Kind {
    pub(crate) fn is_symlink(&self) -> bool {
        matches!(self, Kind::Symlink(_))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) kind: Kind,
    pub(crate) mode: u32,
    pub(crate) owner: (u32, u32),
    pub(crate) mtime: (i64, u32),
    pub(crate) attributes: Vec<(String, Vec<u8>)>,
    /// Which file it is; 0 for directories.
    pub(crate) inode: usize,
}

#[derive(Debug, Clone)]
pub(crate) enum Change {
    Put(String, Item),
    Link {
        name: String,
        to: String,
    },
    Whiteout(String),
    /// Of a directory put before in the same layer.
    Opaque(String),
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Layer {
    pub(crate) changes: Vec<Change>,
}

/// Files put so far, so that inodes of different layers differ.
static INODES: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(1);

impl Layer {
    /// A layer whose root is plain.
    pub(crate) fn new() -> Layer {
        Layer::default().directory("", 0o755)
    }

    pub(crate) fn put(mut self, path: &str, kind: Kind, mode: u32) -> Layer {
        let directory = kind == Kind::Directory;
        let mode = if kind.is_symlink() { 0o777 } else { mode };
        let inode = INODES.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let mtime = (1_000_000_000 + i64::try_from(inode).unwrap(), 123_456_000 + u32::from(directory));
        let inode = if directory { 0 } else { inode };
        let item = Item { kind, mode, owner: (0, 0), mtime, attributes: Vec::new(), inode };
        self.changes.push(Change::Put(path.into(), item));
        self
    }

    pub(crate) fn directory(self, path: &str, mode: u32) -> Layer {
        self.put(path, Kind::Directory, mode)
    }

    pub(crate) fn file(self, path: &str, content: &str) -> Layer {
        self.put(path, Kind::File(content.into()), 0o644)
    }

    pub(crate) fn symlink(self, path: &str, target: &str) -> Layer {
        self.put(path, Kind::Symlink(target.into()), 0o777)
    }

    pub(crate) fn link(mut self, name: &str, to: &str) -> Layer {
        self.changes.push(Change::Link { name: name.into(), to: to.into() });
        self
    }

    pub(crate) fn whiteout(mut self, path: &str) -> Layer {
        self.changes.push(Change::Whiteout(path.into()));
        self
    }

    pub(crate) fn opaque(mut self, path: &str) -> Layer {
        self.changes.push(Change::Opaque(path.into()));
        self
    }

    /// Changes what was put last.
    pub(crate) fn owned_by(mut self, uid: u32, gid: u32) -> Layer {
        self.last().owner = (uid, gid);
        self
    }

    pub(crate) fn attribute(mut self, name: &str, value: &[u8]) -> Layer {
        let attributes = &mut self.last().attributes;
        attributes.push((name.into(), value.into()));
        attributes.sort();
        self
    }

    fn last(&mut self) -> &mut Item {
        match self.changes.last_mut() {
            Some(Change::Put(_, item)) => item,
            _ => panic!("nothing was put"),
        }
    }

    /// Writes the layer as an overlay's lower directory.
    pub(crate) fn write(&self, dir: &Path) {
        fs::create_dir_all(dir).unwrap();
        for change in &self.changes {
            match change {
                Change::Put(path, item) => make(&dir.join(path), &item.kind),
                Change::Link { name, to } => fs::hard_link(dir.join(to), dir.join(name)).unwrap(),
                Change::Whiteout(path) => node(&dir.join(path), FileType::CharacterDevice, 0),
                Change::Opaque(path) => set_attribute(&dir.join(path), "trusted.overlay.opaque", b"y"),
            }
        }
        // Attributes afterwards: times of directories change when something is put in them, and default access lists
        // would be handed on.
        for change in &self.changes {
            if let Change::Put(path, item) = change {
                dress(&dir.join(path), item);
            }
        }
    }
}

fn make(host: &Path, kind: &Kind) {
    match kind {
        Kind::Directory => fs::create_dir_all(host).unwrap(),
        Kind::File(content) => fs::write(host, content).unwrap(),
        Kind::Symlink(target) => symlink(target, host).unwrap(),
        Kind::Fifo => node(host, FileType::Fifo, 0),
        Kind::Socket => drop(UnixListener::bind(host).or_else(|_| bind_by_name(host)).unwrap()),
        Kind::Character(device) => node(host, FileType::CharacterDevice, *device),
        Kind::Block(device) => node(host, FileType::BlockDevice, *device),
    }
}

/// Paths of sockets are short; the directory of an fd is shorter.
fn bind_by_name(host: &Path) -> std::io::Result<UnixListener> {
    use std::os::fd::AsRawFd;
    let dir = fs::File::open(host.parent().unwrap())?;
    let name = host.file_name().unwrap().to_str().unwrap();
    UnixListener::bind(format!("/proc/self/fd/{}/{name}", dir.as_raw_fd()))
}

fn node(host: &Path, kind: FileType, device: u64) {
    rustix::fs::mknodat(CWD, host, kind, Mode::from_raw_mode(0o600), device).unwrap();
}

fn dress(host: &Path, item: &Item) {
    if item.kind.is_symlink() {
        lchown(host, Some(item.owner.0), Some(item.owner.1)).unwrap();
    } else {
        chown(host, Some(item.owner.0), Some(item.owner.1)).unwrap();
        fs::set_permissions(host, fs::Permissions::from_mode(item.mode)).unwrap();
    }
    for (name, value) in &item.attributes {
        set_attribute(host, name, value);
    }
    let time = Timespec { tv_sec: item.mtime.0, tv_nsec: item.mtime.1.into() };
    let times = Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(CWD, host, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

fn set_attribute(host: &Path, name: &str, value: &[u8]) {
    rustix::fs::lsetxattr(host, name, value, XattrFlags::empty())
        .unwrap_or_else(|e| panic!("{name} of {:?}: {e}", host.as_os_str().as_bytes().escape_ascii().to_string()));
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Tree {
    /// By path from the root, which is "".
    pub(crate) items: BTreeMap<String, Item>,
}

impl Tree {
    /// What the layers show, bottom first.
    pub(crate) fn of(layers: &[Layer]) -> Tree {
        let mut tree = Tree::default();
        layers.iter().for_each(|layer| tree.apply(layer));
        tree
    }

    pub(crate) fn apply(&mut self, layer: &Layer) {
        // Opaque marks hide lower layers only, so they come first.
        for change in &layer.changes {
            if let Change::Opaque(path) = change {
                self.remove_below(path);
            }
        }
        for change in &layer.changes {
            match change {
                Change::Put(path, item) => {
                    let stays = item.kind == Kind::Directory
                        && self.items.get(path).is_some_and(|old| old.kind == Kind::Directory);
                    if !stays {
                        self.remove_below(path);
                    }
                    self.items.insert(path.clone(), item.clone());
                }
                Change::Link { name, to } => {
                    let item = self.items[to].clone();
                    self.remove_below(name);
                    self.items.insert(name.clone(), item);
                }
                Change::Whiteout(path) => {
                    self.remove_below(path);
                    self.items.remove(path);
                }
                Change::Opaque(_) => {}
            }
        }
    }

    fn remove_below(&mut self, path: &str) {
        let below = if path.is_empty() { String::new() } else { format!("{path}/") };
        self.items.retain(|name, _| name == path || !name.starts_with(&below) || name.is_empty());
    }

    /// Inodes numbered by the first name that has them.
    pub(crate) fn with_canonical_inodes(mut self) -> Tree {
        let mut numbers = HashMap::new();
        for item in self.items.values_mut().filter(|item| item.kind != Kind::Directory) {
            let next = numbers.len() + 1;
            item.inode = *numbers.entry(item.inode).or_insert(next);
        }
        self
    }
}
