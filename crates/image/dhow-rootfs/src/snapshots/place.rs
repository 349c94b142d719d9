//! The directory of one snapshot, and the claim on it.
//!
//! ```text
//! <base>/<id>/      0700; flock(2) on it is the claim
//!     fs/           what is written; of a copy, the whole tree
//!     work/         scratch place of the overlay
//! ```

use super::SnapshotError;
use dhow_sys::tree::{self, Tree};
use rustix::fs::{CWD, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Longest id.
const ID_MAX: usize = 128;

/// The directory of one snapshot.
#[derive(Debug)]
pub(super) struct Place {
    dir: PathBuf,
}

/// The exclusive right to mount, move or remove a snapshot. It lasts while the open file does, duplicates included, so
/// that a process which keeps the mount can inherit it; hence no explicit unlocking on drop.
#[derive(Debug)]
pub(super) struct Claim {
    dir: OwnedFd,
}

impl Place {
    /// Makes the directory, and the base when it is the first. `fill` puts in it what belongs there; when that fails,
    /// the directory is removed again.
    pub(super) fn create(
        base: &Path,
        id: &str,
        fill: impl FnOnce(&Place) -> Result<(), SnapshotError>,
    ) -> Result<Place, SnapshotError> {
        let place = Place::at(base, id)?;
        make_private(base).or_else(exists_is_fine).map_err(SnapshotError::io("create", base))?;
        make_private(&place.dir).map_err(|e| match e {
            Errno::EXIST => SnapshotError::Exists { id: id.to_owned() },
            e => SnapshotError::Io { operation: "create", path: place.dir.clone(), source: e.into() },
        })?;
        match fill(&place) {
            Ok(()) => Ok(place),
            Err(e) => {
                // The first error is the one that matters; what stays behind is recognised by its name.
                let _ = place.remove();
                Err(e)
            }
        }
    }

    /// The directory of a snapshot that is there.
    pub(super) fn open(base: &Path, id: &str) -> Result<Place, SnapshotError> {
        let place = Place::at(base, id)?;
        match std::fs::symlink_metadata(place.fs()) {
            Ok(found) if found.is_dir() => Ok(place),
            Ok(_) => Err(SnapshotError::Missing { id: id.to_owned() }),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Err(SnapshotError::Missing { id: id.to_owned() }),
            Err(e) => Err(SnapshotError::Io { operation: "look at", path: place.fs(), source: e }),
        }
    }

    fn at(base: &Path, id: &str) -> Result<Place, SnapshotError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        let good =
            id.len() <= ID_MAX && id.bytes().all(plain) && id.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric);
        if good { Ok(Place { dir: base.join(id) }) } else { Err(SnapshotError::BadId { id: id.to_owned() }) }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn fs(&self) -> PathBuf {
        self.dir.join("fs")
    }

    /// Claims it, or says that somebody else has.
    pub(super) fn claim(&self, id: &str) -> Result<Claim, SnapshotError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = rustix::fs::openat(CWD, &self.dir, flags, Mode::empty()).map_err(|e| match e {
            Errno::NOENT => SnapshotError::Missing { id: id.to_owned() },
            e => SnapshotError::Io { operation: "open", path: self.dir.clone(), source: e.into() },
        })?;
        match rustix::fs::flock(&dir, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Claim { dir }),
            Err(Errno::WOULDBLOCK) => Err(SnapshotError::InUse { id: id.to_owned() }),
            Err(e) => Err(SnapshotError::Io { operation: "lock", path: self.dir.clone(), source: e.into() }),
        }
    }

    /// Moves what was written to `to`, and removes the rest.
    pub(super) fn move_out(self, to: &Path) -> Result<(), SnapshotError> {
        std::fs::rename(self.fs(), to).map_err(SnapshotError::io("move the written files to", to))?;
        self.remove()
    }

    /// Removes it with everything in it.
    pub(super) fn remove(&self) -> Result<(), SnapshotError> {
        let fail = || SnapshotError::io("remove", &self.dir);
        let (Some(base), Some(name)) = (self.dir.parent(), self.dir.file_name()) else { return Ok(()) };
        let base = Tree::open(base).map_err(fail())?;
        tree::remove_all(base.as_fd(), name).map_err(fail())
    }
}

impl Claim {
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    pub(super) fn into_fd(self) -> OwnedFd {
        self.dir
    }
}

/// Makes a directory that only its owner may enter.
pub(super) fn make_private(dir: &Path) -> Result<(), Errno> {
    rustix::fs::mkdirat(CWD, dir, Mode::RWXU)
}

/// For directories that anyone may have made.
pub(super) fn exists_is_fine(error: Errno) -> Result<(), Errno> {
    if error == Errno::EXIST { Ok(()) } else { Err(error) }
}
