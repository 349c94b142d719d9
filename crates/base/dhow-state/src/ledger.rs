//! The one SQLite connection of an open store, and its transactions.
//!
//! SQLite in WAL mode: readers see a snapshot and wait for nobody; one writer at a time. In front of `BEGIN
//! IMMEDIATE` stands our own `flock` on `ledger.lock`, because SQLite's busy handler sleeps and looks again, while the
//! kernel wakes who waits for a `flock`. The busy handler is left with one case, which is short and rare: somebody
//! else is reading the log back in after all processes had closed it.
//!
//! The log is kept when the last process closes the ledger; otherwise each short command would copy it into the
//! database and flush both. It is copied once it passes [`LOG_PAGES`], which bounds what an opening has to read.
//!
//! A connection must not cross `fork`: SQLite's `fcntl` locks belong to the process. Nothing else in the process may
//! open `ledger.db` either; closing any descriptor of it would drop those locks.

use crate::error::StateError;
use crate::layout::{LEDGER, LOCK, LOG, Layout, random};
use crate::read::Read;
use crate::rows::Durability;
use crate::schema::{self, Standing};
use crate::write::Write;
use dhow_sys::lock::{Locked, Share, Wait};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, FileControl, OpenFlags, Transaction, TransactionBehavior};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use std::cell::Cell;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Pages of 4 KiB after which the log is copied into the database: 1 MiB, read back in about a millisecond by who finds
/// nobody that shares [`State::index_byte`](crate::State::index_byte).
const LOG_PAGES: u32 = 256;

/// How long to wait for somebody who is reading the log back in.
const BUSY: Duration = Duration::from_secs(30);

/// Distinct statements of this crate, with room.
const STATEMENTS: usize = 96;

/// The ledger of a store, open.
pub(crate) struct Ledger {
    path: PathBuf,
    /// `ledger.lock`; none for the ledger of a store that does not exist.
    lock: Option<OwnedFd>,
    writable: bool,
    connection: Mutex<Link>,
    /// Address that tells the thread inside a transaction, to turn a certain deadlock into a panic; 0 = none.
    inside: AtomicUsize,
}

struct Link {
    connection: Connection,
    /// Whether `synchronous` stands at FULL at present.
    full: bool,
}

thread_local! {
    static THREAD: Cell<u8> = const { Cell::new(0) };
}

impl Ledger {
    /// Opens the ledger for changes; makes it or brings it up to date when it needs that.
    pub(crate) fn open_for_writing(layout: &Layout) -> Result<Ledger, StateError> {
        let path = layout.root().join(LEDGER);
        let lock = open_lock(layout, true)?;
        if layout.stat(Path::new(LEDGER))?.is_none() {
            return Ledger::make(layout, path, lock);
        }
        let connection = connect_for_writing(&path)?;
        match schema::standing(&connection, &path)? {
            Standing::Current => Ok(Ledger::new(path, Some(lock), true, connection)),
            Standing::Unmade => {
                drop(connection);
                Ledger::make(layout, path, lock)
            }
            Standing::Older(_) => {
                let held = hold(&lock, Share::Exclusive, &path)?;
                upgrade(&connection, &path)?;
                drop(held);
                Ok(Ledger::new(path, Some(lock), true, connection))
            }
        }
    }

    /// Opens the ledger for queries; `None` when nobody has finished making it.
    pub(crate) fn open_for_reading(layout: &Layout) -> Result<Option<Ledger>, StateError> {
        let path = layout.root().join(LEDGER);
        let lock = match open_lock(layout, false) {
            Ok(lock) => Some(lock),
            Err(StateError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => None,
            Err(e) => return Err(e),
        };
        let connection = connect_for_reading(layout, &path)?;
        match schema::standing(&connection, &path)? {
            Standing::Current => Ok(Some(Ledger::new(path, lock, false, connection))),
            Standing::Unmade => Ok(None),
            Standing::Older(found) => {
                drop((connection, lock));
                match Ledger::open_for_writing(layout) {
                    Ok(upgraded) => drop(upgraded),
                    Err(StateError::ReadOnlyFileSystem { .. }) => {
                        return Err(StateError::OlderStore { path, found, known: schema::VERSION });
                    }
                    Err(e) => return Err(e),
                }
                let lock = open_lock(layout, false)?;
                let connection = connect_for_reading(layout, &path)?;
                Ok(Some(Ledger::new(path, Some(lock), false, connection)))
            }
        }
    }

    /// The ledger of a store that does not exist: empty, in memory.
    pub(crate) fn empty() -> Result<Ledger, StateError> {
        let path = Path::new(":memory:");
        let failed = |e| StateError::sql("make an empty ledger", path, e);
        let connection = Connection::open_in_memory().map_err(failed)?;
        schema::migrate(&connection, 0).map_err(failed)?;
        Ok(Ledger::new(path.to_path_buf(), None, false, connection))
    }

    /// Makes the ledger, under the lock, unless somebody else was faster.
    fn make(layout: &Layout, path: PathBuf, lock: OwnedFd) -> Result<Ledger, StateError> {
        let held = hold(&lock, Share::Exclusive, &path)?;
        layout.make_directories()?;
        // Not by opening: closing the descriptor would drop the locks of a connection of this process.
        match rustix::fs::mknodat(layout.fd(), LEDGER, FileType::RegularFile, Mode::RUSR | Mode::WUSR, 0) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(e) => return Err(StateError::io("make", &path, e)),
        }
        let connection = connect_for_writing(&path)?;
        if schema::standing(&connection, &path)? == Standing::Unmade {
            let failed = |e| StateError::sql("make the ledger", &path, e);
            // Remembered in the file from here on.
            connection.pragma_update(None, "journal_mode", "WAL").map_err(failed)?;
            upgrade(&connection, &path)?;
            layout.sync_directory(Path::new("."))?;
        }
        drop(held);
        Ok(Ledger::new(path, Some(lock), true, connection))
    }

    fn new(path: PathBuf, lock: Option<OwnedFd>, writable: bool, connection: Connection) -> Ledger {
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        let connection = Mutex::new(Link { connection, full: false });
        Ledger { path, lock, writable, connection, inside: AtomicUsize::new(0) }
    }

    /// The path of the database file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it was opened for changes.
    pub(crate) fn writable(&self) -> bool {
        self.writable
    }

    /// Runs `f` on a snapshot.
    pub(crate) fn read<T, E: From<StateError>>(&self, f: impl FnOnce(&Read<'_>) -> Result<T, E>) -> Result<T, E> {
        let mut link = self.enter();
        self.read_in(&mut link, f)
    }

    /// Runs `f` on the present state and keeps the writers of all processes out while it runs.
    pub(crate) fn read_alone<T, E: From<StateError>>(&self, f: impl FnOnce(&Read<'_>) -> Result<T, E>) -> Result<T, E> {
        // The connection first: two threads must not be at the one descriptor of the lock.
        let mut link = self.enter();
        let held = match &self.lock {
            Some(lock) => Some(hold(lock, Share::Shared, &self.path)?),
            None => None,
        };
        let value = self.read_in(&mut link, f);
        drop(held);
        value
    }

    fn read_in<T, E: From<StateError>>(
        &self,
        link: &mut Link,
        f: impl FnOnce(&Read<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let begun = Transaction::new(&mut link.connection, TransactionBehavior::Deferred);
        let transaction = begun.map_err(|e| StateError::sql("begin to read", &self.path, e))?;
        f(&Read::new(&transaction, &self.path))
        // Dropped here: rolled back, which for a reader is all there is to do.
    }

    /// Runs `f` in a transaction that is alone, and commits unless `f` fails.
    pub(crate) fn write<T, E: From<StateError>>(
        &self,
        durability: Durability,
        f: impl FnOnce(&Write<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let lock = match &self.lock {
            Some(lock) if self.writable => lock,
            _ => return Err(StateError::OpenedReadOnly { operation: "change the store" }.into()),
        };
        let mut link = self.enter();
        let held = hold(lock, Share::Exclusive, &self.path)?;
        link.set_durability(durability).map_err(|e| StateError::sql("set the durability", &self.path, e))?;
        let begun = Transaction::new(&mut link.connection, TransactionBehavior::Immediate);
        let transaction = begun.map_err(|e| StateError::sql("begin to write", &self.path, e))?;
        let value = f(&Write::new(&transaction, &self.path))?;
        transaction.commit().map_err(|e| StateError::sql("commit", &self.path, e))?;
        drop(held);
        Ok(value)
    }

    /// Takes the connection, for this thread.
    fn enter(&self) -> Entered<'_> {
        let thread = THREAD.with(|t| std::ptr::from_ref(t).addr());
        assert_ne!(
            self.inside.load(Ordering::Relaxed),
            thread,
            "a transaction inside a transaction: use the one that was handed in"
        );
        // A panic inside a transaction rolled it back, so the connection is as good as ever.
        let link = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        self.inside.store(thread, Ordering::Relaxed);
        Entered { link, inside: &self.inside }
    }
}

/// The connection in the hands of one thread.
struct Entered<'l> {
    link: MutexGuard<'l, Link>,
    inside: &'l AtomicUsize,
}

impl std::ops::Deref for Entered<'_> {
    type Target = Link;
    fn deref(&self) -> &Link {
        &self.link
    }
}

impl std::ops::DerefMut for Entered<'_> {
    fn deref_mut(&mut self) -> &mut Link {
        &mut self.link
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.inside.store(0, Ordering::Relaxed);
    }
}

impl Link {
    fn set_durability(&mut self, durability: Durability) -> rusqlite::Result<()> {
        let full = durability == Durability::PowerCut;
        if self.full != full {
            self.connection.execute_batch(if full {
                "PRAGMA synchronous=FULL"
            } else {
                "PRAGMA synchronous=NORMAL"
            })?;
            self.full = full;
        }
        Ok(())
    }
}

fn hold<'l>(lock: &'l OwnedFd, share: Share, ledger: &Path) -> Result<Locked<'l>, StateError> {
    let held = Locked::acquire(lock.as_fd(), share, Wait::Block)
        .map_err(|e| StateError::io("lock", ledger.with_file_name(LOCK), e))?;
    Ok(held.expect("waiting was asked for"))
}

fn open_lock(layout: &Layout, for_writing: bool) -> Result<OwnedFd, StateError> {
    let access = if for_writing { OFlags::RDWR | OFlags::CREATE } else { OFlags::RDONLY };
    let flags = access | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    rustix::fs::openat(layout.fd(), LOCK, flags, Mode::RUSR | Mode::WUSR).map_err(|e| match e {
        Errno::ROFS => StateError::ReadOnlyFileSystem { path: layout.root().to_path_buf() },
        e => StateError::io("open", layout.root().join(LOCK), e),
    })
}

/// Opens the file and sets what a connection, unlike a file, does not remember.
fn connect(path: &Path, access: OpenFlags) -> rusqlite::Result<Connection> {
    // NO_MUTEX: one thread at a time is our own mutex's business.
    let connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    configure(&connection)?;
    Ok(connection)
}

fn connect_for_writing(path: &Path) -> Result<Connection, StateError> {
    connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(|e| StateError::sql("open", path, e))
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    let mut keep = 1;
    connection.file_control(rusqlite::MAIN_DB.into(), FileControl::PersistWal(&mut keep))?;
    // Foreign keys are on by default in the bundled build; said again, because rows rely on it.
    let settings = "PRAGMA synchronous=NORMAL; PRAGMA temp_store=MEMORY; PRAGMA foreign_keys=ON;";
    connection.execute_batch(settings)?;
    connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)
}

/// Opens the file for reading, on a read-only file system too.
///
/// SQLite reads through the log and its index where they can be opened. Where they are missing and cannot be made,
/// the database file is all there is, and nobody can change it: `immutable`.
fn connect_for_reading(layout: &Layout, path: &Path) -> Result<Connection, StateError> {
    use rusqlite::ErrorCode as C;
    let shared = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY).and_then(|connection| {
        // The log is not opened before something is read.
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        Ok(connection)
    });
    let alone = || {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
        connect(Path::new(&immutable_uri(path)), flags)
    };
    let is_empty = |name| Ok::<_, StateError>(layout.stat(Path::new(name))?.is_none_or(|stat| stat.st_size == 0));
    let opened = match shared.map_err(|e| (e.sqlite_error_code(), e)) {
        Ok(connection) => Ok(connection),
        Err((Some(C::CannotOpen | C::ReadOnly), _)) if is_empty(LOG)? => alone(),
        Err((_, e)) => Err(e),
    };
    opened.map_err(|e| StateError::sql("open", path, e))
}

/// `file:` URI (RFC 3986) of a path, with every byte escaped that could mean something else.
fn immutable_uri(path: &Path) -> String {
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' => uri.push(char::from(*byte)),
            byte => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri + "?immutable=1"
}

/// Applies the missing migrations; the caller holds the lock. Somebody else may have been faster.
fn upgrade(connection: &Connection, path: &Path) -> Result<(), StateError> {
    let failed = |e| StateError::sql("bring the ledger up to date", path, e);
    let from = match schema::standing(connection, path)? {
        Standing::Current => return Ok(()),
        Standing::Unmade => 0,
        Standing::Older(from) => from,
    };
    connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate).map_err(failed)?;
    schema::migrate(&transaction, from).map_err(failed)?;
    if from == 0 {
        let id = format!("{:012x}", random()? >> 16);
        let sql = "INSERT INTO store (id, run_root, boot_id) VALUES (?1, x'', '')";
        transaction.execute(sql, [id]).map_err(failed)?;
    }
    transaction.commit().map_err(failed)?;
    connection.pragma_update(None, "synchronous", "NORMAL").map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::immutable_uri;
    use std::path::Path;

    #[test]
    fn a_path_becomes_a_uri_without_meaning_of_its_own() {
        assert_eq!(immutable_uri(Path::new("/a b/c?d#e%f")), "file:/a%20b/c%3Fd%23e%25f?immutable=1");
    }
}
