//! The eight kinds that every error of dhow belongs to.
//!
//! Each crate has its own error enum; only the surface maps a kind to an exit code or an HTTP status.

/// What sort of failure an error is, whoever raised it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The named thing does not exist.
    NotFound,
    /// The thing exists already, is in use, or somebody else is changing it.
    Conflict,
    /// The input is not what its format or grammar asks for.
    Invalid,
    /// The caller may not do this.
    Denied,
    /// It could work later or elsewhere: a full disk, a peer that does not answer.
    Unavailable,
    /// This kernel, file system or version of dhow cannot do it.
    Unsupported,
    /// Stored or received bytes are not what they claim to be.
    Corrupt,
    /// A bug, or a failure of the machine that has no better name.
    Internal,
}

/// An error that knows its kind and, where there is one, the next step for the person.
pub trait Classify: std::error::Error {
    /// The kind of this error.
    fn kind(&self) -> Kind;

    /// What the person can do next, as one sentence without a full stop at its end.
    fn hint(&self) -> Option<String> {
        None
    }
}

/// The kind of an I/O error, for errors that wrap one.
pub fn kind_of_io(error: &std::io::Error) -> Kind {
    use std::io::ErrorKind as E;
    match error.kind() {
        E::NotFound => Kind::NotFound,
        E::PermissionDenied => Kind::Denied,
        E::AlreadyExists => Kind::Conflict,
        E::StorageFull | E::QuotaExceeded | E::ReadOnlyFilesystem | E::TimedOut => Kind::Unavailable,
        E::InvalidData | E::UnexpectedEof => Kind::Corrupt,
        E::Unsupported => Kind::Unsupported,
        _ => Kind::Internal,
    }
}
