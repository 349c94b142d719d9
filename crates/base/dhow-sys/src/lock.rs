//! Advisory locks on files: `flock(2)`.
//!
//! `flock` and not `fcntl`: it belongs to the open file and not to the process, so two threads exclude each
//! other too, and closing another descriptor of the same file does not drop it. Waiters are woken by the
//! kernel; nothing here polls. The kernel frees a lock when its holder dies.
//!
//! Of the other kind there is [`share_byte`], for programs that lock bytes with `fcntl`.
//!
//! Locks nest: each crate that takes more than one writes down its order.

use crate::raw;
use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

/// Whether others may hold the lock as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// Nobody else.
    Exclusive,
    /// Others that share it.
    Shared,
}

/// Whether to wait for a lock that somebody has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Until it is free.
    Block,
    /// Not at all.
    No,
}

/// A lock on an open file, released on drop.
#[derive(Debug)]
pub struct Locked<'fd> {
    fd: BorrowedFd<'fd>,
}

impl<'fd> Locked<'fd> {
    /// Locks the file; `None` when somebody has it and waiting was not asked for.
    ///
    /// # Errors
    /// Those of `flock(2)` other than `EWOULDBLOCK` and `EINTR`.
    pub fn acquire(fd: BorrowedFd<'fd>, share: Share, wait: Wait) -> io::Result<Option<Locked<'fd>>> {
        Ok(flock(fd, share, wait)?.then_some(Locked { fd }))
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        unlock(self.fd);
    }
}

/// A lock on a file that exists only while somebody holds or waits for it.
///
/// The holder removes the file before it lets go. Who was waiting then holds a lock on a file that no
/// name leads to, so each taker looks again whether the name still leads to the file it locked, and
/// begins anew otherwise.
#[derive(Debug)]
pub struct NamedLock {
    directory: OwnedFd,
    name: OsString,
    file: OwnedFd,
}

impl NamedLock {
    /// Takes the exclusive lock `name` in `directory`; `None` when somebody has it and waiting was not asked for.
    ///
    /// # Errors
    /// Those of opening the file; `NotFound` means that the directory is gone.
    pub fn acquire(directory: BorrowedFd<'_>, name: &OsStr, wait: Wait) -> io::Result<Option<NamedLock>> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        loop {
            let file = rustix::fs::openat(directory, name, flags, Mode::RUSR | Mode::WUSR)?;
            if !flock(file.as_fd(), Share::Exclusive, wait)? {
                return Ok(None);
            }
            if names(directory, name, file.as_fd())? {
                let directory = directory.try_clone_to_owned()?;
                return Ok(Some(NamedLock { directory, name: name.to_owned(), file }));
            }
        }
    }
}

impl Drop for NamedLock {
    fn drop(&mut self) {
        // Somebody may have removed the file by hand, and the name may by now be another holder's.
        if names(self.directory.as_fd(), &self.name, self.file.as_fd()).unwrap_or(false) {
            let _ = rustix::fs::unlinkat(&self.directory, &self.name, AtFlags::empty());
        }
        // Explicitly, not by closing: a child between fork and exec may have the open file too.
        unlock(self.file.as_fd());
    }
}

/// Whether `name` in `directory` is this very file.
fn names(directory: BorrowedFd<'_>, name: &OsStr, file: BorrowedFd<'_>) -> io::Result<bool> {
    let ours = rustix::fs::fstat(file)?;
    match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(named) => Ok((named.st_dev, named.st_ino) == (ours.st_dev, ours.st_ino)),
        Err(Errno::NOENT) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

/// `struct flock` of fcntl(2), where offsets have 64 bits.
#[repr(C)]
struct ByteLock {
    kind: i16,
    whence: i16,
    start: i64,
    length: i64,
    pid: i32,
}

/// Shares the lock of one byte, as `fcntl(2)` has it: those who ask with `F_GETLK` see it. It belongs to the open file
/// (`F_OFD_SETLK`), so it ends with its last descriptor. False: somebody has it for himself.
///
/// # Errors
/// Of the kernel; the file must be open for reading.
pub fn share_byte(file: BorrowedFd<'_>, offset: u32) -> io::Result<bool> {
    /// `F_OFD_SETLK`, `F_RDLCK` and `SEEK_SET` of every architecture with offsets of 64 bits.
    const OFD_SETLK: i32 = 37;
    let lock = ByteLock { kind: 0, whence: 0, start: offset.into(), length: 1, pid: 0 };
    // SAFETY: the command reads one `struct flock` and keeps nothing; the descriptor is open as long as it is borrowed.
    let done = unsafe { raw::fcntl(file.as_raw_fd(), OFD_SETLK, &raw const lock) };
    match raw::checked(done.into()) {
        Ok(_) => Ok(true),
        Err(e) if matches!(Errno::from_io_error(&e), Some(Errno::AGAIN | Errno::ACCESS)) => Ok(false),
        Err(e) => Err(e),
    }
}

fn flock(fd: BorrowedFd<'_>, share: Share, wait: Wait) -> io::Result<bool> {
    let operation = match (share, wait) {
        (Share::Exclusive, Wait::Block) => FlockOperation::LockExclusive,
        (Share::Exclusive, Wait::No) => FlockOperation::NonBlockingLockExclusive,
        (Share::Shared, Wait::Block) => FlockOperation::LockShared,
        (Share::Shared, Wait::No) => FlockOperation::NonBlockingLockShared,
    };
    loop {
        match rustix::fs::flock(fd, operation) {
            Ok(()) => return Ok(true),
            Err(Errno::INTR) => {}
            Err(Errno::WOULDBLOCK) => return Ok(false),
            Err(e) => return Err(e.into()),
        }
    }
}

/// Never fails on a descriptor that was locked.
fn unlock(fd: BorrowedFd<'_>) {
    let _ = rustix::fs::flock(fd, FlockOperation::Unlock);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicU32, Ordering};

    fn directory(name: &str) -> (PathBuf, OwnedFd) {
        let path = std::env::temp_dir().join(format!("dhow-lock-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        let fd = rustix::fs::open(&path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap();
        (path, fd)
    }

    #[test]
    fn one_holder_and_no_file_afterwards() {
        let (path, fd) = directory("one");
        let name = OsStr::new("a.lock");
        let held = NamedLock::acquire(fd.as_fd(), name, Wait::No).unwrap().unwrap();
        assert!(NamedLock::acquire(fd.as_fd(), name, Wait::No).unwrap().is_none());
        drop(held);
        assert_eq!(std::fs::read_dir(&path).unwrap().count(), 0);
        assert!(NamedLock::acquire(fd.as_fd(), name, Wait::No).unwrap().is_some());
        std::fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn many_threads_never_meet_inside() {
        let (path, fd) = directory("many");
        let inside = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let held = NamedLock::acquire(fd.as_fd(), OsStr::new("b"), Wait::Block).unwrap();
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        inside.fetch_sub(1, Ordering::SeqCst);
                        drop(held);
                    }
                });
            }
        });
        assert_eq!(std::fs::read_dir(&path).unwrap().count(), 0);
        std::fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn a_shared_byte_is_seen_by_who_asks_with_fcntl() {
        let (path, _) = directory("byte");
        let file = path.join("d");
        std::fs::write(&file, [0; 200]).unwrap();
        // A read-lock is in the way of one for writing, and no read-lock is in the way of another.
        let asked = || -> i16 {
            let open = std::fs::File::open(&file).unwrap();
            let mut lock = ByteLock { kind: 1, whence: 0, start: 128, length: 1, pid: 0 };
            // SAFETY: F_OFD_GETLK reads and writes one `struct flock`.
            let done = unsafe { raw::fcntl(open.as_raw_fd(), 36, &raw mut lock) };
            assert_eq!(done, 0);
            lock.kind
        };
        assert_eq!(asked(), 2, "F_UNLCK");
        let [one, other] = [(); 2].map(|()| std::fs::File::open(&file).unwrap());
        assert!(share_byte(one.as_fd(), 128).unwrap());
        assert!(share_byte(other.as_fd(), 128).unwrap());
        drop(one);
        assert_eq!(asked(), 0, "F_RDLCK");
        drop(other);
        assert_eq!(asked(), 2, "F_UNLCK");
        std::fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn shared_holders_exclude_an_exclusive_one() {
        let (path, _) = directory("shared");
        let open = || std::fs::OpenOptions::new().create(true).append(true).open(path.join("c")).unwrap();
        let (a, b, c) = (open(), open(), open());
        let first = Locked::acquire(a.as_fd(), Share::Shared, Wait::No).unwrap().unwrap();
        let second = Locked::acquire(b.as_fd(), Share::Shared, Wait::No).unwrap().unwrap();
        assert!(Locked::acquire(c.as_fd(), Share::Exclusive, Wait::No).unwrap().is_none());
        drop((first, second));
        assert!(Locked::acquire(c.as_fd(), Share::Exclusive, Wait::No).unwrap().is_some());
        std::fs::remove_dir_all(path).unwrap();
    }
}
