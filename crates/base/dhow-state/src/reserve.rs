//! The reserve: room on the disk of the store that only what makes room may use.
//!
//! The ledger needs some pages for each change, a removal needs a directory to work in. On a full disk nothing could be
//! removed, and no end of a container be written down. So a file of [`SIZE`] lies beside the ledger. Who is about to make
//! room on a full disk gives it up, has the log of the ledger take its share at once, before somebody who only writes gets
//! it, and lays it down anew afterwards, when there is room again.

use crate::error::StateError;
use crate::layout::{LOG, RESERVE};
use crate::state::State;
use rustix::fs::{AtFlags, FallocateFlags, Mode, OFlags};
use rustix::io::Errno;
use std::path::Path;

/// Bytes of the reserve.
const SIZE: u64 = 1024 * 1024;
/// Bytes that the log is made longer by: some hundred changes.
const FOR_THE_LOG: u64 = 512 * 1024;
/// With less free than this the reserve is given up without waiting for an error in the middle of something.
const SCARCE: u64 = 256 * 1024;
/// The reserve is laid down only where it leaves this much.
const PLENTY: u64 = 16 * SIZE;

impl State {
    /// Runs what makes room on the disk, or writes down what has happened; on a full disk in the reserve. It may run more
    /// than once: what has been done must be found done.
    ///
    /// # Errors
    /// Those of `f`, of which `is_full` tells those of a full disk.
    pub fn in_reserve<T, E>(&self, is_full: impl Fn(&E) -> bool, f: impl Fn() -> Result<T, E>) -> Result<T, E> {
        let given_up = self.free().is_some_and(|free| free < SCARCE) && self.give_up();
        let mut result = f();
        if !given_up && result.as_ref().is_err_and(is_full) && self.give_up() {
            result = f();
        }
        self.lay_down();
        result
    }

    /// Makes the reserve if it is missing and there is plenty of room. Best effort, as all of it is.
    pub(crate) fn lay_down(&self) {
        let Ok(layout) = self.layout() else { return };
        if self.is_read_only() || !matches!(layout.stat(Path::new(RESERVE)), Ok(None)) {
            return;
        }
        if self.free().is_some_and(|free| free >= PLENTY) {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
            let Ok(file) = rustix::fs::openat(layout.fd(), RESERVE, flags, Mode::RUSR | Mode::WUSR) else { return };
            if rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, SIZE).is_err() {
                let _ = rustix::fs::unlinkat(layout.fd(), RESERVE, AtFlags::empty());
            }
        }
    }

    /// Gives the reserve up; false when there was none.
    fn give_up(&self) -> bool {
        let Ok(layout) = self.layout() else { return false };
        // SQLite takes what lies behind the last frame of its log for nothing, and holds no lock on that file.
        let log =
            rustix::fs::openat(layout.fd(), LOG, OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty());
        let length = layout.stat(Path::new(LOG)).ok().flatten().and_then(|stat| u64::try_from(stat.st_size).ok());
        if self.is_read_only() || rustix::fs::unlinkat(layout.fd(), RESERVE, AtFlags::empty()).is_err() {
            return false;
        }
        if let (Ok(log), Some(length)) = (log, length) {
            let _ = rustix::fs::fallocate(&log, FallocateFlags::empty(), length, FOR_THE_LOG);
        }
        true
    }

    /// Bytes that can be written yet.
    fn free(&self) -> Option<u64> {
        let stat = rustix::fs::fstatvfs(self.layout().ok()?.fd()).ok()?;
        Some(
            match rustix::process::geteuid().is_root() {
                true => stat.f_bfree,
                false => stat.f_bavail,
            } * stat.f_frsize,
        )
    }
}

/// Makes room by hand where a store cannot even be opened: whether there was some.
pub(crate) fn give_up_in(root: &Path) -> bool {
    matches!(rustix::fs::unlink(root.join(RESERVE)), Ok(()))
}

/// Whether the disk was full.
pub(crate) fn is_full<T>(result: &Result<T, StateError>) -> bool {
    match result {
        Err(StateError::NoSpace { .. }) => true,
        Err(StateError::Io { source, .. }) => Errno::from_io_error(source) == Some(Errno::NOSPC),
        _ => false,
    }
}
