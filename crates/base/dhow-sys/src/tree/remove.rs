//! Recursive removal that stays in its directory.
//!
//! Iterative, so depth costs memory and no call stack; at most [`OPEN_LEVELS`] directories are open at a time.
//! Going down opens one name without following links (and without entering a mount point); coming up goes through
//! the fd that is still open or, on very deep trees, through `..` of the directory just emptied, which must then be
//! the very inode that was left on the way down. Whoever moves directories about meanwhile causes an error, never
//! a removal elsewhere.

use super::{make, open_name, single};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// Levels of the tree whose directories stay open while those beneath are emptied.
const OPEN_LEVELS: usize = 32;

/// Removes `name` from `dir`, with everything beneath if it is a directory. A name that is not there is no error.
///
/// # Errors
/// What the kernel says at the first thing that cannot be removed: `EXDEV` at a mount point, `EPERM` at an immutable
/// file, `ENOTEMPTY` when somebody fills the directory meanwhile, `ESTALE` when somebody moves it.
pub fn remove_all(dir: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    let name = single(name)?;
    match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        // Linux says EISDIR for a directory, POSIX EPERM.
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(e) => return Err(e.into()),
    }
    let Some(top) = enter(dir, name)? else {
        // Not a directory after all, so the refusal above stands; or gone meanwhile.
        return match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
            Err(Errno::NOENT) => Ok(()),
            other => Ok(other?),
        };
    };
    let mut levels = vec![Level::new(name.to_owned(), top)?];
    while let Some(level) = levels.last_mut() {
        match level.next_directory()? {
            Some(child) => {
                let Some(fd) = enter(level.fd()?, &child)? else { continue };
                levels.push(Level::new(child, fd)?);
                if let Some(at) = levels.len().checked_sub(OPEN_LEVELS + 1) {
                    levels[at].entries = None;
                }
            }
            None => {
                let done = levels.pop().expect("the loop looks at the last one");
                match levels.last_mut() {
                    Some(parent) => {
                        parent.reopen_above(&done)?;
                        remove_directory(parent.fd()?, &done.name)?;
                    }
                    None => remove_directory(dir, &done.name)?,
                }
            }
        }
    }
    Ok(())
}

/// A directory being emptied.
struct Level {
    name: OsString,
    device: u64,
    inode: u64,
    /// None while it is closed for the sake of the bound on open fds.
    entries: Option<Dir>,
}

impl Level {
    fn new(name: OsString, fd: OwnedFd) -> io::Result<Level> {
        let stat = rustix::fs::fstat(&fd)?;
        Ok(Level { name, device: stat.st_dev, inode: stat.st_ino, entries: Some(Dir::new(fd)?) })
    }

    fn fd(&self) -> io::Result<BorrowedFd<'_>> {
        Ok(self.entries.as_ref().expect("the level worked on is open").fd()?)
    }

    /// Unlinks what is no directory, up to the first that is one.
    fn next_directory(&mut self) -> io::Result<Option<OsString>> {
        let entries = self.entries.as_mut().expect("the level worked on is open");
        while let Some(entry) = entries.read() {
            let entry = entry?;
            if matches!(entry.file_name().to_bytes(), b"." | b"..") {
                continue;
            }
            let name: CString = entry.file_name().to_owned();
            if entry.file_type() != FileType::Directory {
                match rustix::fs::unlinkat(entries.fd()?, &name, AtFlags::empty()) {
                    Ok(()) | Err(Errno::NOENT) => continue,
                    // The kind was unknown, or it was swapped.
                    Err(Errno::ISDIR) => {}
                    Err(e) => return Err(e.into()),
                }
            }
            return Ok(Some(OsString::from_vec(name.into_bytes())));
        }
        Ok(None)
    }

    /// Opens this level again, if it was closed, from the one beneath it, which is empty by now.
    fn reopen_above(&mut self, child: &Level) -> io::Result<()> {
        if self.entries.is_some() {
            return Ok(());
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(child.fd()?, "..", flags, Mode::empty())?;
        let stat = rustix::fs::fstat(&fd)?;
        if (stat.st_dev, stat.st_ino) != (self.device, self.inode) {
            return Err(Errno::STALE.into());
        }
        self.entries = Some(Dir::new(fd)?);
        Ok(())
    }
}

/// Opens a directory to be emptied; nothing when it is gone or no directory.
fn enter(dir: BorrowedFd<'_>, name: &OsStr) -> io::Result<Option<OwnedFd>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let opened = match open_name(dir, name, flags) {
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
            let place = open_name(dir, name, OFlags::PATH | OFlags::DIRECTORY)?;
            rustix::fs::chmod(make::proc_path(&place), Mode::RWXU)?;
            open_name(dir, name, flags)
        }
        other => other,
    };
    match opened {
        Ok(fd) => {
            let stat: Stat = rustix::fs::fstat(&fd)?;
            // Without privileges an owner needs these to empty it; with them the call costs nothing.
            if stat.st_mode & 0o700 != 0o700 && !rustix::process::geteuid().is_root() {
                rustix::fs::fchmod(fd.as_fd(), Mode::RWXU)?;
            }
            Ok(Some(fd))
        }
        Err(e) => match Errno::from_io_error(&e) {
            Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            _ => Err(e),
        },
    }
}

fn remove_directory(dir: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    match rustix::fs::unlinkat(dir, OsStr::from_bytes(name.as_bytes()), AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(e) => Err(e.into()),
    }
}
