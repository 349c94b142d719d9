//! The one error of this crate: operation, object and source of each failure, its kind, and the next step.

use dhow_spec::error_kind::kind_of_io;
use dhow_spec::{Classify, Digest, Kind};
use rusqlite::ffi;
use std::io;
use std::path::{Path, PathBuf};

/// Why the ledger or a durable file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The file system refused.
    #[error("cannot {operation} {}: {source}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file system is full.
    #[error("no space left on {}", path.display())]
    NoSpace {
        /// The data root, or the file that could not be written.
        path: PathBuf,
    },
    /// The file system may not be written.
    #[error("cannot write to {}: the file system is read-only", path.display())]
    ReadOnlyFileSystem {
        /// The data or run root.
        path: PathBuf,
    },
    /// SQLite failed.
    #[error("cannot {operation} in the ledger: {source}")]
    Ledger {
        /// What was tried.
        operation: &'static str,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// The ledger file is damaged.
    #[error("the ledger {} is damaged: {source}", path.display())]
    Damaged {
        /// The ledger.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// A value in the ledger is not what its column promises.
    #[error("cannot {operation}: the ledger holds a malformed value: {source}")]
    BadValue {
        /// What was tried.
        operation: &'static str,
        /// Which column, and what is wrong with it.
        source: rusqlite::Error,
    },
    /// The directory belongs to somebody else.
    #[error("{} belongs to user {owner}, and this is user {user}", path.display())]
    ForeignOwner {
        /// The directory.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Who asks.
        user: u32,
    },
    /// The directory holds something else than a store.
    #[error("{} is not empty and holds no dhow store", path.display())]
    NotAStore {
        /// The directory.
        path: PathBuf,
    },
    /// There is no store, and this call needs one.
    #[error("there is no dhow store in {}", path.display())]
    NoStore {
        /// The data root.
        path: PathBuf,
    },
    /// `ledger.db` was not made by dhow.
    #[error("{} is not a ledger of dhow", path.display())]
    NotALedger {
        /// The file.
        path: PathBuf,
    },
    /// The store was written by a newer dhow.
    #[error("the store {} has schema version {found}, this dhow knows up to {known}", path.display())]
    NewerStore {
        /// The ledger.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// The store is of an older dhow and cannot be brought up to date where it is.
    #[error("the store {} has schema version {found} and must be brought to {known} first", path.display())]
    OlderStore {
        /// The ledger.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// The data root is on a file system that cannot hold a store.
    #[error("{} is on {name}, which cannot hold a dhow store", path.display())]
    FileSystem {
        /// The data root.
        path: PathBuf,
        /// The file system.
        name: &'static str,
    },
    /// The store is in use with another run root.
    #[error("store {} is in use with run root {}, not {}", root.display(), recorded.display(), asked.display())]
    RunRoot {
        /// The data root.
        root: PathBuf,
        /// The run root that it is used with.
        recorded: PathBuf,
        /// The run root that was asked for.
        asked: PathBuf,
    },
    /// A change through a store that was opened for reading.
    #[error("cannot {operation}: the store was opened for reading only")]
    OpenedReadOnly {
        /// What was tried.
        operation: &'static str,
    },
    /// A row refers to a row that is not there.
    #[error("the {kind} {digest} is not in the store")]
    Missing {
        /// `blob`, `layer`, `image` or `manifest`.
        kind: &'static str,
        /// Its digest.
        digest: Digest,
    },
    /// A container of this name is there.
    #[error("the container name {name:?} is already in use by container {by:?}")]
    NameTaken {
        /// The name.
        name: String,
        /// The id of the container that has it.
        by: String,
    },
    /// A network of this name is there.
    #[error("network with name {name} already exists")]
    NetworkNameTaken {
        /// The name.
        name: String,
        /// The id of the network that has it.
        by: String,
    },
    /// A container is on the network.
    #[error("network {network} is used by container {container}")]
    NetworkInUse {
        /// The id of the network.
        network: String,
        /// The id of the first such container.
        container: String,
    },
    /// A container or network that an endpoint or address would belong to is not there.
    #[error("the {kind} {id} is not in the ledger")]
    Gone {
        /// `container` or `network`.
        kind: &'static str,
        /// Its id.
        id: String,
    },
    /// A container was made from the image.
    #[error("image {image} is used by container {container}")]
    ImageInUse {
        /// The image.
        image: Digest,
        /// The id of the first such container.
        container: String,
    },
    /// An id that is not 64 lower-case hex digits.
    #[error("{id:?} is no id of a container")]
    BadContainerId {
        /// The id.
        id: String,
    },
    /// An id that is not 64 lower-case hex digits.
    #[error("{id:?} is no id of a network or endpoint")]
    BadNetworkId {
        /// The id.
        id: String,
    },
    /// A row that must survive a power cut refers to bytes that need not.
    #[error("the {kind} {digest} was not flushed to disk before something came to depend on it")]
    NotFlushed {
        /// `blob` or `layer`.
        kind: &'static str,
        /// Its digest.
        digest: Digest,
    },
}

impl StateError {
    /// An I/O failure of `operation` on `path`; a full and a read-only file system have errors of their own.
    pub fn io(operation: &'static str, path: impl AsRef<Path>, source: impl Into<io::Error>) -> StateError {
        let (path, source) = (path.as_ref().to_path_buf(), source.into());
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StateError::NoSpace { path },
            io::ErrorKind::ReadOnlyFilesystem => StateError::ReadOnlyFileSystem { path },
            _ => StateError::Io { operation, path, source },
        }
    }

    /// A failure of SQLite during `operation` on the ledger at `path`.
    pub(crate) fn sql(operation: &'static str, path: &Path, source: rusqlite::Error) -> StateError {
        use rusqlite::{Error as E, ErrorCode as C};
        let root = || path.parent().unwrap_or(path).to_path_buf();
        match (source.sqlite_error_code(), &source) {
            (Some(C::DiskFull), _) => StateError::NoSpace { path: root() },
            // Growing the index of the log; SQLite does not tell why it failed, and this is the reason there is.
            (Some(C::SystemIoFailure), E::SqliteFailure(e, _)) if e.extended_code == ffi::SQLITE_IOERR_SHMSIZE => {
                StateError::NoSpace { path: root() }
            }
            (Some(C::DatabaseCorrupt | C::NotADatabase), _) => StateError::Damaged { path: path.to_path_buf(), source },
            (Some(C::ReadOnly), _) => StateError::ReadOnlyFileSystem { path: root() },
            (_, E::FromSqlConversionFailure(..) | E::InvalidColumnType(..) | E::IntegralValueOutOfRange(..)) => {
                StateError::BadValue { operation, source }
            }
            _ => StateError::Ledger { operation, source },
        }
    }
}

impl Classify for StateError {
    fn kind(&self) -> Kind {
        match self {
            StateError::Io { source, .. } => kind_of_io(source),
            StateError::NoSpace { .. } | StateError::ReadOnlyFileSystem { .. } => Kind::Unavailable,
            StateError::Ledger { source, .. } => kind_of_sqlite(source),
            StateError::Damaged { .. } | StateError::BadValue { .. } => Kind::Corrupt,
            StateError::ForeignOwner { .. } => Kind::Denied,
            StateError::NotAStore { .. } | StateError::NotALedger { .. } => Kind::Invalid,
            StateError::NoStore { .. } | StateError::Missing { .. } | StateError::Gone { .. } => Kind::NotFound,
            StateError::NewerStore { .. } | StateError::OlderStore { .. } | StateError::FileSystem { .. } => {
                Kind::Unsupported
            }
            StateError::RunRoot { .. } | StateError::NameTaken { .. } | StateError::ImageInUse { .. } => Kind::Conflict,
            StateError::NetworkNameTaken { .. } | StateError::NetworkInUse { .. } => Kind::Conflict,
            StateError::BadContainerId { .. } | StateError::BadNetworkId { .. } => Kind::Invalid,
            StateError::OpenedReadOnly { .. } | StateError::NotFlushed { .. } => Kind::Internal,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            StateError::NoSpace { .. } => {
                "free some space, or remove images that are not needed with `dhow image prune`".to_owned()
            }
            StateError::ReadOnlyFileSystem { .. } => {
                "mount it writable, or pass --root and --runroot of a writable place".to_owned()
            }
            StateError::Damaged { .. } => {
                "put a copy of it back, or move the store away and load the images again".to_owned()
            }
            StateError::BadValue { .. } => "run `dhow system check` to see what is affected".to_owned(),
            StateError::ForeignOwner { owner, .. } => {
                format!("run as user {owner}, or pass --root and --runroot of your own")
            }
            StateError::NoStore { .. } => "load or import an image first".to_owned(),
            StateError::NotAStore { .. } => "pass an empty or new directory as --root".to_owned(),
            StateError::NotALedger { .. } => "pass another directory as --root".to_owned(),
            StateError::NewerStore { .. } => "use the newer dhow".to_owned(),
            StateError::OlderStore { .. } => "run `dhow system check` once where the store can be written".to_owned(),
            StateError::FileSystem { .. } => "pass --root of a directory on a local disk".to_owned(),
            StateError::RunRoot { recorded, .. } => format!("pass --runroot {}", recorded.display()),
            StateError::Ledger { source, .. } if is_busy(source) => "try again".to_owned(),
            StateError::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "run as the owner of the store, or pass --root and --runroot of your own".to_owned()
            }
            _ => return None,
        })
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode as C;
    matches!(error.sqlite_error_code(), Some(C::DatabaseBusy | C::DatabaseLocked))
}

fn kind_of_sqlite(error: &rusqlite::Error) -> Kind {
    use rusqlite::ErrorCode as C;
    match error.sqlite_error_code() {
        Some(C::DatabaseBusy | C::DatabaseLocked | C::DiskFull | C::SystemIoFailure) => Kind::Unavailable,
        Some(C::PermissionDenied | C::CannotOpen | C::ReadOnly | C::AuthorizationForStatementDenied) => Kind::Denied,
        Some(C::DatabaseCorrupt | C::NotADatabase) => Kind::Corrupt,
        Some(C::ConstraintViolation) => Kind::Conflict,
        _ => Kind::Internal,
    }
}
