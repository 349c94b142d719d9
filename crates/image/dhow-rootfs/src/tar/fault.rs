//! Why an archive cannot be read, and where.

use dhow_spec::error_kind::{Kind, kind_of_io};
use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;

/// A fault, with its place in the archive.
#[derive(Debug)]
pub struct TarError {
    /// Offset of the header concerned, in bytes from the start of the archive.
    pub offset: u64,
    /// The entry concerned, when its name is known.
    pub entry: Option<Vec<u8>>,
    /// The last entry whose header was good.
    pub after: Option<Vec<u8>>,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with an archive.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The stream itself failed.
    #[error("cannot be read: {0}")]
    Read(#[source] io::Error),
    /// The stream ends in the middle of something.
    #[error("cut short in {0}")]
    Truncated(&'static str),
    /// The checksum does not match: not a header, or a damaged one.
    #[error("not a tar header: wrong checksum")]
    Checksum,
    /// One block of zeros, and then something else.
    #[error("a lone block of zeros with data behind it")]
    LoneZeroBlock,
    /// A field of the header does not hold what it should.
    #[error("bad {0} in the header")]
    Field(&'static str),
    /// An extended header is malformed.
    #[error("bad extended header: {0}")]
    Extended(&'static str),
    /// The map of a sparse file is malformed.
    #[error("bad sparse file: {0}")]
    Sparse(&'static str),
    /// A kind of member that we do not know.
    #[error("unknown kind of entry {:?}", *.0 as char)]
    UnknownKind(u8),
    /// A limit is passed.
    #[error("more than {max} {limit}")]
    Limit {
        /// What is limited.
        limit: &'static str,
        /// The limit.
        max: u64,
    },
}

impl TarError {
    /// The kind of this error.
    pub fn kind(&self) -> Kind {
        match &self.fault {
            Fault::Read(e) => kind_of_io(e),
            Fault::UnknownKind(_) => Kind::Unsupported,
            Fault::Limit { .. } => Kind::Invalid,
            _ => Kind::Corrupt,
        }
    }
}

impl fmt::Display for TarError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(entry) = &self.entry {
            write!(f, "entry {:?}: ", OsStr::from_bytes(entry))?;
        }
        write!(f, "{} (at byte {}", self.fault, self.offset)?;
        match &self.after {
            Some(last) if self.entry.as_ref() != Some(last) => {
                write!(f, ", after entry {:?})", OsStr::from_bytes(last))
            }
            _ => f.write_str(")"),
        }
    }
}

impl std::error::Error for TarError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.fault {
            Fault::Read(e) => Some(e),
            _ => None,
        }
    }
}
