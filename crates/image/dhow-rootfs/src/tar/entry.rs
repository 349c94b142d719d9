//! What one member of an archive says of itself. Plain data, as the archive has it: nothing is normalised or judged.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// One member of an archive, its extended headers merged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The path as the archive has it: it may be absolute, hold `..`, or not be UTF-8. Never a NUL byte.
    pub path: Vec<u8>,
    /// The kind of file.
    pub kind: EntryKind,
    /// Permission bits, with set-id and sticky bits; nothing else.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Time of last modification.
    pub mtime: Mtime,
    /// Length of a regular file as it reads (a sparse one with its holes), in bytes; 0 for all others.
    pub size: u64,
    /// Extended attributes, full name and raw value, in the order of the archive.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// The kinds of members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// Regular file.
    File,
    /// Another name of an earlier member, which the target names from the root of the archive.
    HardLink {
        /// As the archive has it.
        target: Vec<u8>,
    },
    /// Symbolic link.
    Symlink {
        /// Verbatim; it is data.
        target: Vec<u8>,
    },
    /// Character device.
    CharDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// Block device.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// Directory.
    Directory,
    /// Named pipe.
    Fifo,
}

/// A point in time: seconds since the Unix epoch, rounded down, and nanoseconds on top.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Mtime {
    /// Whole seconds, negative before 1970.
    pub seconds: i64,
    /// 0 to 999,999,999, always forward from `seconds`.
    pub nanoseconds: u32,
}

impl Entry {
    /// [`Entry::path`] as a path.
    pub fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.path))
    }
}
