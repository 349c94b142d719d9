//! What a check can find, as values: surfaces choose the words around them.

use std::path::PathBuf;

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FindingKind {
    /// SQLite finds its file damaged.
    DamagedLedger,
    /// An operation of a process that is dead.
    DeadOperation,
    /// A file below `blobs/` without a row.
    OrphanBlob,
    /// A directory below `layers/` without a row.
    OrphanLayer,
    /// A work directory without an operation.
    OrphanWork,
    /// A directory below `containers/` without a row.
    OrphanContainer,
    /// A run directory of a container that is not there.
    OrphanRun,
    /// A row of a blob without a file.
    MissingBlob,
    /// A row of a layer without a directory.
    MissingLayer,
    /// A row of a container without a directory.
    MissingContainer,
    /// A blob of which the length is not what its row says.
    WrongSize,
    /// A blob of which the bytes are not what its digest says.
    WrongDigest,
    /// An image that needs something lost.
    BrokenImage,
    /// The file of a lock that nobody holds.
    StaleLock,
    /// Something in the data root that dhow does not know. Never removed.
    UnknownEntry,
}

impl FindingKind {
    /// A word for output that programs read.
    pub fn name(self) -> &'static str {
        match self {
            FindingKind::DamagedLedger => "damaged-ledger",
            FindingKind::DeadOperation => "dead-operation",
            FindingKind::OrphanBlob => "orphan-blob",
            FindingKind::OrphanLayer => "orphan-layer",
            FindingKind::OrphanWork => "orphan-work",
            FindingKind::OrphanContainer => "orphan-container",
            FindingKind::OrphanRun => "orphan-run",
            FindingKind::MissingContainer => "missing-container",
            FindingKind::MissingBlob => "missing-blob",
            FindingKind::MissingLayer => "missing-layer",
            FindingKind::WrongSize => "wrong-size",
            FindingKind::WrongDigest => "wrong-digest",
            FindingKind::BrokenImage => "broken-image",
            FindingKind::StaleLock => "stale-lock",
            FindingKind::UnknownEntry => "unknown-entry",
        }
    }

    /// The next step for the person, after a check that did not or could not put it right.
    pub fn hint(self) -> &'static str {
        match self {
            FindingKind::DamagedLedger => "save what images you can, and load them into a new store",
            FindingKind::DeadOperation
            | FindingKind::OrphanBlob
            | FindingKind::OrphanLayer
            | FindingKind::OrphanWork
            | FindingKind::OrphanContainer
            | FindingKind::OrphanRun
            | FindingKind::StaleLock => "run `dhow system check --repair` to remove it",
            FindingKind::WrongSize | FindingKind::WrongDigest => {
                "run `dhow system check --repair` and load the images again that need it"
            }
            FindingKind::MissingBlob | FindingKind::MissingLayer => "load the images again that need it",
            FindingKind::MissingContainer => "remove it with `dhow rm`: its files are gone",
            FindingKind::BrokenImage => "load it again, or remove it",
            FindingKind::UnknownEntry => "move it elsewhere: dhow did not make it",
        }
    }
}

/// What a check did about a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Done {
    /// Nothing.
    Reported,
    /// It removed what should not be there.
    Removed,
}

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong.
    pub kind: FindingKind,
    /// With what: a digest, a path, an operation.
    pub subject: String,
    /// Where, if it is or should be a file or directory.
    pub path: Option<PathBuf>,
    /// Bytes on disk that belong to nobody.
    pub bytes: u64,
    /// More, for a person; may be empty.
    pub detail: String,
    /// What was done about it.
    pub done: Done,
}

impl Finding {
    pub(super) fn new(kind: FindingKind, subject: String) -> Finding {
        Finding { kind, subject, path: None, bytes: 0, detail: String::new(), done: Done::Reported }
    }

    pub(super) fn at(self, path: PathBuf) -> Finding {
        Finding { path: Some(path), ..self }
    }

    pub(super) fn because(self, detail: String) -> Finding {
        Finding { detail, ..self }
    }
}
