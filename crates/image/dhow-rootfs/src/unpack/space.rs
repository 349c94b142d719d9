//! Room on the disk: an archive that inflates without end must stop before the disk is full.

use crate::Limits;
use std::io;
use std::os::fd::BorrowedFd;

/// Bytes written between two looks at the file system, and the size of a file that is worth a look of its own.
const INTERVAL: u64 = 64 << 20;
/// What a file takes beside its content, on most file systems.
const PER_FILE: u64 = 4096;

pub(super) struct Space<'a> {
    root: BorrowedFd<'a>,
    keep_free: u64,
    since: u64,
}

impl<'a> Space<'a> {
    pub(super) fn new(root: BorrowedFd<'a>, limits: &Limits) -> Space<'a> {
        // The first entry is looked at as well.
        Space { root, keep_free: limits.keep_free, since: INTERVAL }
    }

    /// Whether a new file may be made that will take about so many bytes.
    pub(super) fn has_room_for(&mut self, bytes: u64) -> io::Result<bool> {
        self.since = self.since.saturating_add(PER_FILE);
        if bytes < INTERVAL && self.since < INTERVAL {
            return Ok(true);
        }
        self.look(bytes)
    }

    /// Whether the next bytes of a file may be written.
    pub(super) fn may_write(&mut self, bytes: u64) -> io::Result<bool> {
        self.since = self.since.saturating_add(bytes);
        if self.since < INTERVAL {
            return Ok(true);
        }
        self.look(bytes)
    }

    fn look(&mut self, bytes: u64) -> io::Result<bool> {
        self.since = 0;
        if self.keep_free == 0 {
            return Ok(true);
        }
        let stat = rustix::fs::fstatvfs(self.root)?;
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        Ok(bytes.checked_add(self.keep_free).is_some_and(|needed| needed <= free))
    }
}
