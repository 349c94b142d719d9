//! docker's json-file log: written by supervisors, read and followed by anybody.
//!
//! One line of JSON per line of output, byte for byte what docker's `json-file` driver writes:
//!
//! ```text
//! {"log":"text\n","stream":"stdout","time":"2026-11-21T10:00:00.123456789Z"}
//! ```
//!
//! Lines longer than 16 KiB come in parts, and only the last part ends in `\n`. What is no UTF-8 is replaced by U+FFFD,
//! as docker does. A file that has reached its greatest size becomes `<path>.1`, what was `.1` becomes `.2`, and so on.
//!
//! - [`Writer`] (`log/write.rs`) appends, `log/rotate.rs` names and renames, `log/format.rs` escapes;
//! - [`read`] (`log/read.rs`, `log/files.rs`) goes through rotated files, from the end for a tail, and follows;
//! - [`decode`] reads one line, of docker's making too.
//!
//! # A disk that is full
//!
//! The container goes on. What cannot be written is held back, up to 1 MiB, and written when there is room again; beyond
//! that the oldest of it is dropped, and an entry on stderr says in its place how many entries are missing.

mod decode;
mod files;
mod format;
mod read;
mod repair;
mod rotate;
mod write;

pub use decode::decode;
pub use read::{read, read_until};
pub use write::Writer;
pub(crate) use write::{Mark, Progress};

/// Which stream a chunk came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// As it stands in a log.
    pub fn name(self) -> &'static str {
        match self {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        }
    }
}

/// Bytes of a line that are kept together, as in docker.
pub const LINE_MAX: usize = 16 * 1024;

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
