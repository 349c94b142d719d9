//! The directories of a store: making and checking them, the final path of each object, and moving things about.
//!
//! Everything goes through a descriptor of the data root, so a root that is renamed under us stays ours.
//! Knows no rows: who may move what is decided by the callers, which hold the write lock.

use crate::error::StateError;
use crate::filesystem;
use crate::rows::{ContentKind, OperationId};
use dhow_spec::Digest;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, Stat};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

pub(crate) const LEDGER: &str = "ledger.db";
pub(crate) const LOG: &str = "ledger.db-wal";
pub(crate) const INDEX: &str = "ledger.db-shm";
pub(crate) const LOCK: &str = "ledger.lock";
pub(crate) const RESERVE: &str = "reserve";
pub(crate) const BLOBS: &str = "blobs";
pub(crate) const LAYERS: &str = "layers";
pub(crate) const WORK: &str = "work";
pub(crate) const CONTAINERS: &str = "containers";

const PRIVATE: Mode = Mode::RWXU;
const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// The data root, open.
#[derive(Debug)]
pub(crate) struct Layout {
    root: PathBuf,
    fd: OwnedFd,
}

/// What a data root turned out to be.
pub(crate) enum Found {
    /// It holds a ledger.
    Store(Layout),
    /// It is empty or half made, and may become a store.
    Empty(Layout),
    /// It does not exist.
    Nothing,
}

impl Layout {
    /// Looks at a data root without changing anything.
    pub(crate) fn find(root: &Path) -> Result<Found, StateError> {
        match rustix::fs::stat(root) {
            Ok(stat) => owned_by_us(root, &stat)?,
            Err(Errno::NOENT) => return Ok(Found::Nothing),
            Err(e) => return Err(StateError::io("look at", root, e)),
        }
        let root = std::fs::canonicalize(root).map_err(|e| StateError::io("resolve", root, e))?;
        let fd = rustix::fs::open(&root, DIRECTORY, Mode::empty()).map_err(|e| StateError::io("open", &root, e))?;
        let layout = Layout { root, fd };
        match layout.stat(Path::new(LEDGER))? {
            Some(_) => Ok(Found::Store(layout)),
            None => Ok(Found::Empty(layout)),
        }
    }

    /// Opens a data root to hold a store, and makes it when it is missing.
    pub(crate) fn find_or_make(root: &Path) -> Result<Found, StateError> {
        let found = match Layout::find(root)? {
            Found::Nothing => {
                make_private(root)?;
                Layout::find(root)?
            }
            found => found,
        };
        match &found {
            Found::Store(layout) => layout.suits()?,
            Found::Empty(layout) => {
                layout.suits()?;
                layout.may_become_a_store()?;
            }
            Found::Nothing => return Err(StateError::io("open", root, Errno::NOENT)),
        }
        Ok(found)
    }

    /// The directories of a new store. What is there already stays.
    pub(crate) fn make_directories(&self) -> Result<(), StateError> {
        rustix::fs::fchmod(&self.fd, PRIVATE).map_err(|e| StateError::io("set the mode of", &self.root, e))?;
        for name in [BLOBS, LAYERS, CONTAINERS, WORK] {
            self.make_directory(Path::new(name))?;
        }
        self.make_directory(&Path::new(BLOBS).join("sha256"))
    }

    fn suits(&self) -> Result<(), StateError> {
        let stat =
            rustix::fs::fstatfs(&self.fd).map_err(|e| StateError::io("look at the file system of", &self.root, e))?;
        // The kernel's field is signed on some machines; the number is one of 32 bits.
        match filesystem::refused((stat.f_type as u64) & 0xffff_ffff) {
            Some(name) => Err(StateError::FileSystem { path: self.root.clone(), name }),
            None => Ok(()),
        }
    }

    /// Refuses a directory that holds anything but what a broken-off creation or `mkfs` leaves, unless somebody has
    /// made it a store since it was looked at: of two first commands, one sees the other's ledger here.
    fn may_become_a_store(&self) -> Result<(), StateError> {
        let ours = [LOCK, LOG, INDEX, RESERVE, BLOBS, LAYERS, CONTAINERS, WORK, "lost+found"];
        let stranger = self.names(Path::new("."))?.into_iter().any(|name| !ours.iter().any(|o| name == *o));
        match stranger && self.stat(Path::new(LEDGER))?.is_none() {
            true => Err(StateError::NotAStore { path: self.root.clone() }),
            false => Ok(()),
        }
    }

    /// The canonical data root.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The data root, open for reading.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Follows no link; `None` when it is not there.
    pub(crate) fn stat(&self, relative: &Path) -> Result<Option<Stat>, StateError> {
        match rustix::fs::statat(&self.fd, relative, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(e) => Err(StateError::io("look at", self.root.join(relative), e)),
        }
    }

    /// The names in a directory; none when it is not there.
    pub(crate) fn names(&self, relative: &Path) -> Result<Vec<std::ffi::OsString>, StateError> {
        use std::os::unix::ffi::OsStrExt;
        let failed = |e: Errno| StateError::io("list", self.root.join(relative), e);
        let fd = match rustix::fs::openat(&self.fd, relative, DIRECTORY | OFlags::NOFOLLOW, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(Vec::new()),
            Err(e) => return Err(failed(e)),
        };
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&fd).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name != "." && name != ".." {
                names.push(name.to_owned());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Makes one directory, 0700; fine when it is there.
    pub(crate) fn make_directory(&self, relative: &Path) -> Result<(), StateError> {
        match rustix::fs::mkdirat(&self.fd, relative, PRIVATE) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(e) => Err(StateError::io("make", self.root.join(relative), e)),
        }
    }

    /// Moves `from`, which is absolute or relative to the data root, to `to`, which is relative to it.
    pub(crate) fn rename(&self, from: &Path, to: &Path) -> Result<(), StateError> {
        rustix::fs::renameat(&self.fd, from, &self.fd, to)
            .map_err(|e| StateError::io("move into place", self.root.join(to), e))
    }

    /// Moves what is at `from`, if anything is, into the operation's work directory under a new name.
    pub(crate) fn set_aside(&self, from: &Path, operation: OperationId) -> Result<Option<PathBuf>, StateError> {
        if self.stat(from)?.is_none() {
            return Ok(None);
        }
        let directory = work(operation);
        self.make_directory(&directory)?;
        let to = directory.join(format!("aside-{:016x}", random()?));
        self.rename(from, &to)?;
        Ok(Some(to))
    }

    /// Removes the operation's work directory if it is empty or missing; says whether it is gone.
    pub(crate) fn remove_empty_work(&self, operation: OperationId) -> bool {
        let result = rustix::fs::unlinkat(&self.fd, work(operation), AtFlags::REMOVEDIR);
        matches!(result, Ok(()) | Err(Errno::NOENT))
    }

    /// Removes the operation's work directory with all that is in it.
    pub(crate) fn remove_work(&self, operation: OperationId) -> Result<(), StateError> {
        let failed = |e: std::io::Error| StateError::io("remove", self.root.join(work(operation)), e);
        let parent = match rustix::fs::openat(&self.fd, WORK, DIRECTORY | OFlags::NOFOLLOW, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(()),
            Err(e) => return Err(failed(e.into())),
        };
        match dhow_sys::tree::remove_all(parent.as_fd(), OsStr::new(&operation.to_string())) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(failed(e)),
            _ => Ok(()),
        }
    }

    /// Flushes a directory: the names in it.
    pub(crate) fn sync_directory(&self, relative: &Path) -> Result<(), StateError> {
        let failed = |e: Errno| StateError::io("flush", self.root.join(relative), e);
        match rustix::fs::openat(&self.fd, relative, DIRECTORY | OFlags::NOFOLLOW, Mode::empty()) {
            Ok(fd) => rustix::fs::fsync(fd).map_err(failed),
            Err(Errno::NOENT) => Ok(()),
            Err(e) => Err(failed(e)),
        }
    }
}

/// The final path of an object, relative to the data root.
pub(crate) fn place(kind: ContentKind, digest: &Digest) -> PathBuf {
    let algorithm = digest.algorithm().name();
    match kind {
        ContentKind::Blob => Path::new(BLOBS).join(algorithm).join(digest.hex()),
        ContentKind::Layer => Path::new(LAYERS).join(format!("{algorithm}-{}", digest.hex())),
    }
}

/// The directory of a container, relative to the data root. Its id was checked when its row or plan was made.
pub(crate) fn container(id: &str) -> PathBuf {
    Path::new(CONTAINERS).join(id)
}

/// Refuses an id that is no plain name of a directory.
pub(crate) fn check_container_id(id: &str) -> Result<(), StateError> {
    match is_id(id) {
        true => Ok(()),
        false => Err(StateError::BadContainerId { id: id.to_owned() }),
    }
}

/// Whether it is 64 lower-case hex digits.
pub(crate) fn is_id(text: &str) -> bool {
    text.len() == 64 && is_lower_hex(text)
}

/// Whether there are lower-case hex digits only.
pub(crate) fn is_lower_hex(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// The work directory of an operation, relative to the data root.
pub(crate) fn work(operation: OperationId) -> PathBuf {
    Path::new(WORK).join(operation.to_string())
}

/// 64 random bits.
pub(crate) fn random() -> Result<u64, StateError> {
    let mut bytes = [0; 8];
    // Eight bytes come whole or not at all (getrandom(2)).
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|e| StateError::io("read", "/dev/urandom", e))?;
    Ok(u64::from_ne_bytes(bytes))
}

/// Makes a directory, 0700, and those above it that are missing, 0755; fine when it is there.
pub(crate) fn make_private(path: &Path) -> Result<(), StateError> {
    match rustix::fs::mkdirat(CWD, path, PRIVATE) {
        Ok(()) | Err(Errno::EXIST) => return Ok(()),
        Err(Errno::NOENT) => {}
        Err(e) => return Err(StateError::io("make", path, e)),
    }
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(|e| StateError::io("make", parent, e))?;
    }
    match rustix::fs::mkdirat(CWD, path, PRIVATE) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(e) => Err(StateError::io("make", path, e)),
    }
}

/// Refuses what belongs to another user.
pub(crate) fn owned_by_us(path: &Path, stat: &Stat) -> Result<(), StateError> {
    let user = rustix::process::geteuid().as_raw();
    match stat.st_uid == user {
        true => Ok(()),
        false => Err(StateError::ForeignOwner { path: path.to_path_buf(), owner: stat.st_uid, user }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_second_to_make_a_store_is_not_refused() {
        let root = std::env::temp_dir().join(format!("dhow-layout-{}", std::process::id()));
        std::fs::create_dir(&root).expect("a new directory");
        let Ok(Found::Empty(second)) = Layout::find(&root) else { panic!("it is empty") };
        // The first one got here meanwhile: the ledger, and what SQLite keeps beside it while it is made.
        std::fs::write(root.join("ledger.db-journal"), "").expect("a file");
        let refused = second.may_become_a_store();
        std::fs::write(root.join(LEDGER), "").expect("a file");
        let taken = second.may_become_a_store();
        std::fs::remove_dir_all(&root).expect("removed");
        assert!(matches!(refused, Err(StateError::NotAStore { .. })));
        taken.expect("it has become a store");
    }
}
