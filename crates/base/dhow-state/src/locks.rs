//! The run root, and the locks of objects in it: `<run root>/<store id>/locks/<kind>-<key>.lock`.

use crate::error::StateError;
use crate::layout::{make_private, owned_by_us};
use crate::rows::ObjectKind;
use dhow_spec::Digest;
use dhow_sys::lock::{NamedLock, Wait};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW);

/// The lock of one object, let go on drop. Its file is there only while somebody holds or waits for it.
#[derive(Debug)]
pub struct ObjectLock {
    _held: NamedLock,
}

/// A run root and the part of it that belongs to one store.
#[derive(Debug)]
pub(crate) struct RunRoot {
    path: PathBuf,
    store: PathBuf,
    locks: PathBuf,
    containers: PathBuf,
}

impl RunRoot {
    /// Names a run root without making anything.
    pub(crate) fn find(path: &Path, store_id: &str) -> Result<RunRoot, StateError> {
        let path = match std::fs::canonicalize(path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => std::path::absolute(path),
            other => other,
        };
        let path = path.map_err(|e| StateError::io("resolve", "the run root", e))?;
        Ok(RunRoot::at(path).of_store(store_id))
    }

    /// Makes the run root if it is missing. One that is there may be shared with others; what is ours lies in the
    /// store's own directory in it.
    pub(crate) fn find_or_make(path: &Path) -> Result<RunRoot, StateError> {
        let canonical = match std::fs::canonicalize(path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                make_private(path)?;
                std::fs::canonicalize(path)
            }
            other => other,
        };
        Ok(RunRoot::at(canonical.map_err(|e| StateError::io("resolve", path, e))?))
    }

    fn at(path: PathBuf) -> RunRoot {
        RunRoot { store: path.clone(), locks: path.clone(), containers: path.clone(), path }
    }

    /// The part of the store of this id.
    pub(crate) fn of_store(self, store_id: &str) -> RunRoot {
        let store = self.path.join(store_id);
        RunRoot { locks: store.join("locks"), containers: store.join("containers"), store, path: self.path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the store's directories if they are missing, 0700, and refuses those that somebody else made.
    pub(crate) fn make_directories(&self) -> Result<(), StateError> {
        make_private(&self.store)?;
        let stat = rustix::fs::lstat(&self.store).map_err(|e| StateError::io("look at", &self.store, e))?;
        owned_by_us(&self.store, &stat)?;
        make_private(&self.locks)
    }

    pub(crate) fn store(&self) -> &Path {
        &self.store
    }

    /// Where the run directories of containers lie.
    pub(crate) fn containers(&self) -> &Path {
        &self.containers
    }

    /// Makes the run directory of a container, and empties one that is left of an earlier run.
    pub(crate) fn make_container(&self, id: &str) -> Result<PathBuf, StateError> {
        let path = self.containers.join(id);
        if path.try_exists().unwrap_or(true) {
            self.remove_container(id)?;
        }
        match rustix::fs::mkdir(&path, Mode::RWXU) {
            Err(Errno::NOENT) => {
                self.make_directories()?;
                make_private(&self.containers)?;
                make_private(&path)?;
            }
            other => other.map_err(|e| StateError::io("make", &path, e))?,
        }
        Ok(path)
    }

    /// Removes the run directory of a container, if there is one.
    pub(crate) fn remove_container(&self, id: &str) -> Result<(), StateError> {
        let parent = match rustix::fs::open(&self.containers, DIRECTORY, Mode::empty()) {
            Ok(parent) => parent,
            Err(Errno::NOENT) => return Ok(()),
            Err(e) => return Err(StateError::io("open", &self.containers, e)),
        };
        match dhow_sys::tree::remove_all(parent.as_fd(), OsStr::new(id)) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(StateError::io("remove", self.containers.join(id), e))
            }
            _ => Ok(()),
        }
    }

    /// The names of the run directories of containers.
    pub(crate) fn container_names(&self) -> Result<Vec<String>, StateError> {
        let entries = match std::fs::read_dir(&self.containers) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(StateError::io("list", &self.containers, e)),
        };
        let names = entries.map(|entry| entry.map(|e| e.file_name().to_string_lossy().into_owned()));
        let mut names =
            names.collect::<Result<Vec<_>, _>>().map_err(|e| StateError::io("list", &self.containers, e))?;
        names.sort_unstable();
        Ok(names)
    }

    pub(crate) fn acquire(&self, kind: ObjectKind, key: &str, wait: Wait) -> Result<Option<ObjectLock>, StateError> {
        let name = file_name(kind, key);
        loop {
            let directory = self.open_locks()?;
            match NamedLock::acquire(directory.as_fd(), OsStr::new(&name), wait) {
                Ok(held) => return Ok(held.map(|held| ObjectLock { _held: held })),
                // The directory was removed between opening it and now.
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                Err(e) => return Err(StateError::io("lock", self.locks.join(name), e)),
            }
        }
    }

    /// Removes the files of locks that nobody holds, which a killed holder left; their names. With `remove` false
    /// they are only counted.
    pub(crate) fn stale(&self, remove: bool) -> Result<Vec<PathBuf>, StateError> {
        let failed = |e: std::io::Error| StateError::io("list", &self.locks, e);
        let entries = match std::fs::read_dir(&self.locks) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(failed(e)),
        };
        let directory = rustix::fs::open(&self.locks, DIRECTORY, Mode::empty()).map_err(|e| failed(e.into()))?;
        let mut stale = Vec::new();
        for entry in entries {
            let name = entry.map_err(failed)?.file_name();
            if remove {
                // Taking it and letting go removes the file.
                let taken = NamedLock::acquire(directory.as_fd(), &name, Wait::No).map_err(failed)?;
                if taken.is_some() {
                    stale.push(self.locks.join(&name));
                }
            } else if is_free(&directory, &name) {
                stale.push(self.locks.join(&name));
            }
        }
        stale.sort_unstable();
        Ok(stale)
    }

    /// Removes the file of a lock that is for nothing any more, unless somebody holds it, who will.
    pub(crate) fn forget(&self, kind: ObjectKind, key: &str) -> Result<(), StateError> {
        let name = file_name(kind, key);
        match rustix::fs::lstat(self.locks.join(&name)) {
            // Taking it and letting go removes the file.
            Ok(_) => self.acquire(kind, key, Wait::No).map(drop),
            Err(Errno::NOENT) => Ok(()),
            Err(e) => Err(StateError::io("look at", self.locks.join(name), e)),
        }
    }

    fn open_locks(&self) -> Result<OwnedFd, StateError> {
        let open = || rustix::fs::open(&self.locks, DIRECTORY, Mode::empty());
        let directory = match open() {
            Err(Errno::NOENT) => {
                self.make_directories()?;
                open()
            }
            other => other,
        };
        directory.map_err(|e| StateError::io("open", &self.locks, e))
    }
}

/// Whether nobody has the lock; it is let go at once, and its file stays.
fn is_free(directory: &OwnedFd, name: &OsStr) -> bool {
    use dhow_sys::lock::{Locked, Share};
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    match rustix::fs::openat(directory, name, flags, Mode::empty()) {
        Ok(file) => matches!(Locked::acquire(file.as_fd(), Share::Exclusive, Wait::No), Ok(Some(_))),
        Err(_) => false,
    }
}

/// A key that is no short plain word goes in by its digest: names have 255 bytes and no slash.
fn file_name(kind: ObjectKind, key: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_:".contains(&b);
    match !key.is_empty() && key.len() <= 160 && key.bytes().all(plain) {
        true => format!("{}-{key}.lock", kind.name()),
        false => format!("{}-by-{}.lock", kind.name(), Digest::of(key.as_bytes())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_become_file_names() {
        let digest = Digest::of(b"x").to_string();
        assert_eq!(file_name(ObjectKind::Layer, &digest), format!("layer-{digest}.lock"));
        for key in ["", "../../etc/passwd", "docker.io/library/nginx:1", &"a".repeat(500)] {
            let name = file_name(ObjectKind::Image, key);
            assert!(name.len() < 255 && !name.contains('/') && name.starts_with("image-by-sha256:"), "{name}");
        }
    }
}
