//! docker's json-file log: written by supervisors, read and followed by anybody.

use crate::plan::LogPlan;
use std::io;
use std::path::Path;

/// Which stream a chunk came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Appends to a log.
#[derive(Debug)]
pub struct Writer {}

impl Writer {
    /// Opens or makes the file; a line that was cut off by a crash is completed.
    ///
    /// # Errors
    /// Of the file system.
    pub fn open(plan: &LogPlan) -> io::Result<Writer> {
        let _ = plan;
        unimplemented!()
    }

    /// Adds a chunk of output as it came. Lines are kept together up to 16 KiB, as docker does.
    ///
    /// # Errors
    /// Of the file system; nothing is lost that a later call can write.
    pub fn write(&mut self, stream: Stream, bytes: &[u8], now: i64) -> io::Result<()> {
        let _ = (stream, bytes, now);
        unimplemented!()
    }

    /// Writes what is held back of unfinished lines, and flushes the file to disk.
    ///
    /// # Errors
    /// Of the file system.
    pub fn finish(&mut self, now: i64) -> io::Result<()> {
        let _ = now;
        unimplemented!()
    }
}

/// What of a log to read.
#[derive(Debug, Clone, Copy, Default)]
pub struct Query {
    /// Only this many of the last lines.
    pub tail: Option<u64>,
    /// Nothing before this time, nanoseconds since the Unix epoch.
    pub since: Option<i64>,
    /// Nothing after it.
    pub until: Option<i64>,
    /// Go on with what comes until `ended` says that no more will.
    pub follow: bool,
}

/// One entry: a line, or a part of a long one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// When it was written, nanoseconds since the Unix epoch.
    pub time: i64,
    /// Where it came from.
    pub stream: Stream,
    /// The bytes, with the newline if there was one.
    pub bytes: &'a [u8],
}

/// Reads a log, rotated files first, and hands each entry to `each` until that returns false. With `follow` it waits
/// for more (inotify) across rotations, and asks `ended` each time there is nothing more to read.
///
/// # Errors
/// Of the file system; `InvalidData` names the line that is no entry.
pub fn read(
    path: &Path,
    query: &Query,
    ended: &mut dyn FnMut() -> bool,
    each: &mut dyn FnMut(Entry<'_>) -> io::Result<bool>,
) -> io::Result<()> {
    let _ = (path, query, ended, each);
    unimplemented!()
}
