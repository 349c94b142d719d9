//! Small files that are replaced as a whole: after a crash or a power cut there is the old content or the new one.
//!
//! For what has to be read without the ledger. Everything else belongs into a row.

use crate::error::StateError;
use crate::layout::random;
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use std::ffi::OsString;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsFd;
use std::path::Path;

/// Replaces the file at `path`, or makes it, with the permission bits `mode`.
///
/// Writes a file beside it, flushes it, renames it over the old one and flushes the directory. A symbolic link at
/// `path` is replaced, not followed.
///
/// # Errors
/// [`StateError::Io`] with the step that failed; nothing is left behind then. When flushing the directory fails,
/// the new content is in place but may not survive a power cut.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<(), StateError> {
    let invalid = || StateError::io("replace", path, std::io::Error::from(std::io::ErrorKind::InvalidInput));
    let name = path.file_name().ok_or_else(invalid)?;
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory =
        rustix::fs::openat(CWD, parent, flags, Mode::empty()).map_err(|e| StateError::io("open", parent, e))?;

    let mut temporary = OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{:016x}", random()?));
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let mode = Mode::from_raw_mode(mode & 0o7777);
    let file = rustix::fs::openat(&directory, &temporary, flags, Mode::RUSR | Mode::WUSR)
        .map_err(|e| StateError::io("make a file beside", path, e))?;
    let mut file = File::from(file);
    let written = file
        .write_all(bytes)
        // Not at open: the umask would take bits away.
        .and_then(|()| rustix::fs::fchmod(file.as_fd(), mode).map_err(Into::into))
        .and_then(|()| file.sync_all())
        .and_then(|()| rustix::fs::renameat(&directory, &temporary, &directory, name).map_err(Into::into));
    if let Err(e) = written {
        // The first failure is the one to tell.
        let _ = rustix::fs::unlinkat(&directory, &temporary, AtFlags::empty());
        return Err(StateError::io("replace", path, e));
    }
    rustix::fs::fsync(&directory).map_err(|e| StateError::io("flush", parent, e))
}
