//! An open store: [`State`].

use crate::error::StateError;
use crate::layout::{Found, INDEX, Layout, place};
use crate::ledger::Ledger;
use crate::locks::{ObjectLock, RunRoot};
use crate::operation::Operation;
use crate::pairing;
use crate::read::Read;
use crate::reserve;
use crate::rows::{Access, ContentKind, Durability, ObjectKind, OperationId, OperationRow, Places, Timestamp};
use crate::write::Write;
use dhow_spec::Digest;
use dhow_sys::lock::Wait;
use dhow_sys::process::{ProcessIdentity, is_alive};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// An open store. Threads may share it; a process should open a store once, and never `fork` while it is open
/// (starting another program is fine: every descriptor is closed on exec).
pub struct State {
    ledger: Ledger,
    /// None for a store that does not exist.
    layout: Option<Layout>,
    root: PathBuf,
    run_root: RunRoot,
    store_id: String,
    identity: OnceLock<ProcessIdentity>,
}

impl State {
    /// Opens a store.
    ///
    /// For writing it is made when it is missing, paired with its run root, and what dead processes left is cleaned
    /// up; what cannot be cleaned up stays for the next opening and for the check. For reading nothing is made or
    /// changed, and a store that does not exist is an empty one.
    ///
    /// # Errors
    /// [`StateError::ForeignOwner`], [`StateError::NotAStore`], [`StateError::NotALedger`],
    /// [`StateError::NewerStore`], [`StateError::FileSystem`], [`StateError::ReadOnlyFileSystem`],
    /// [`StateError::RunRoot`]; of the file system and of the ledger.
    pub fn open(places: &Places, access: Access) -> Result<State, StateError> {
        match access {
            Access::ReadOnly => State::open_for_reading(places),
            Access::ReadWrite => {
                let opened = State::open_for_writing(places);
                // Not even the index of the ledger has room: whoever opens the store now may be who makes some.
                match reserve::is_full(&opened) && reserve::give_up_in(&places.root) {
                    true => State::open_for_writing(places),
                    false => opened,
                }
            }
        }
    }

    fn open_for_reading(places: &Places) -> Result<State, StateError> {
        let (ledger, layout) = match Layout::find(&places.root)? {
            Found::Store(layout) => match Ledger::open_for_reading(&layout)? {
                Some(ledger) => (ledger, Some(layout)),
                None => (Ledger::empty()?, None),
            },
            Found::Empty(_) | Found::Nothing => (Ledger::empty()?, None),
        };
        let store_id = pairing::recorded(&ledger)?.map(|p| p.store_id).unwrap_or_default();
        let root = match &layout {
            Some(layout) => layout.root().to_path_buf(),
            None => std::path::absolute(&places.root).map_err(|e| StateError::io("resolve", &places.root, e))?,
        };
        let run_root = RunRoot::find(&places.run_root, &store_id)?;
        Ok(State { ledger, layout, root, run_root, store_id, identity: OnceLock::new() })
    }

    fn open_for_writing(places: &Places) -> Result<State, StateError> {
        let layout = match Layout::find_or_make(&places.root)? {
            Found::Store(layout) | Found::Empty(layout) => layout,
            Found::Nothing => return Err(StateError::NoStore { path: places.root.clone() }),
        };
        let ledger = Ledger::open_for_writing(&layout)?;
        let recorded = pairing::recorded(&ledger)?;
        let recorded = recorded.ok_or_else(|| StateError::NotALedger { path: ledger.path().to_path_buf() })?;
        let run_root = RunRoot::find_or_make(&places.run_root)?;
        let root = layout.root().to_path_buf();
        let store_id = recorded.store_id.clone();
        let run_root = run_root.of_store(&store_id);
        let state = State { ledger, layout: Some(layout), root, run_root, store_id, identity: OnceLock::new() };
        state.pair(&recorded)?;
        state.run_root.make_directories()?;
        state.lay_down();
        if recorded.operations {
            // Best effort: a path that cannot be removed must not keep everything else from working. What
            // is left is still recorded, and the check tells of it.
            let _ = state.recover();
        }
        Ok(state)
    }

    /// 12 hex digits, random, made with the store: part of each name that several stores of a host share a space of.
    /// Empty for a store that does not exist.
    pub fn store_id(&self) -> &str {
        &self.store_id
    }

    /// The data root, canonical.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The run root, canonical.
    pub fn run_root(&self) -> &Path {
        self.run_root.path()
    }

    /// Whether it was opened for reading only.
    pub fn is_read_only(&self) -> bool {
        !self.ledger.writable()
    }

    /// The path of a blob, whether or not it is there.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.root.join(place(ContentKind::Blob, digest))
    }

    /// The path of a layer, whether or not it is there.
    pub fn layer_path(&self, key: &Digest) -> PathBuf {
        self.root.join(place(ContentKind::Layer, key))
    }

    /// The store's own part of the run root.
    pub fn run_dir(&self) -> &Path {
        self.run_root.store()
    }

    /// The byte of the index of the log of the ledger that everybody who has the ledger open shares the lock of, by
    /// `fcntl(2)`: SQLite's `UNIX_SHM_DMS`. Who finds nobody reads the whole log back in, a millisecond; a process that
    /// stays, and shares the lock, spares all others that.
    ///
    /// It must share it only after the ledger was opened for writing in this boot: what a power cut left of the index is not
    /// to be trusted. Never in a process that has the ledger open, for closing the file would drop that one's locks.
    pub fn index_byte(&self) -> (PathBuf, u32) {
        /// 22 words of header and lock values, 8 bytes of locks, and then this one.
        const DEADMAN: u32 = (22 + 8) * 4 + 8;
        (self.root.join(INDEX), DEADMAN)
    }

    /// The directory of a container, whether or not it is there.
    pub fn container_dir(&self, id: &str) -> PathBuf {
        self.root.join(crate::layout::container(id))
    }

    /// The directory of a container below the run root, whether or not it is there.
    pub fn container_run_dir(&self, id: &str) -> PathBuf {
        self.run_root.containers().join(id)
    }

    /// Makes the run directory of a container, empty, whatever an earlier run left in it.
    ///
    /// # Errors
    /// Of the file system; [`StateError::OpenedReadOnly`].
    pub fn make_container_run_dir(&self, id: &str) -> Result<PathBuf, StateError> {
        crate::layout::check_container_id(id)?;
        self.locks()?.make_container(id)
    }

    /// Runs `f` on a snapshot. No writer waits for it, and it waits for none.
    ///
    /// # Errors
    /// Those of `f`; of the ledger.
    ///
    /// # Panics
    /// Inside another transaction of this state in the same thread, where it would otherwise wait for itself.
    pub fn read<T, E: From<StateError>>(&self, f: impl FnOnce(&Read<'_>) -> Result<T, E>) -> Result<T, E> {
        self.ledger.read(f)
    }

    /// Runs `f` on the present state and keeps the writers of all processes out meanwhile: for what is made of the ledger
    /// outside of it, and must not be older than what somebody else makes.
    ///
    /// # Errors
    /// Those of `f`; of the ledger.
    ///
    /// # Panics
    /// As [`State::read`].
    pub fn read_alone<T, E: From<StateError>>(&self, f: impl FnOnce(&Read<'_>) -> Result<T, E>) -> Result<T, E> {
        self.ledger.read_alone(f)
    }

    /// Runs `f` in a transaction of its own and commits; nothing has happened when `f` fails or panics.
    ///
    /// # Errors
    /// Those of `f`; of the ledger, [`StateError::NoSpace`] among them; [`StateError::OpenedReadOnly`].
    ///
    /// # Panics
    /// As [`State::read`].
    pub fn write<T, E: From<StateError>>(
        &self,
        durability: Durability,
        f: impl FnOnce(&Write<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.ledger.write(durability, f)
    }

    /// Takes the lock of an object, and waits while somebody has it. Never inside a transaction, and
    /// never while holding the lock of another object of a kind that is listed later in [`ObjectKind`].
    ///
    /// # Errors
    /// Of making the lock file; [`StateError::OpenedReadOnly`].
    pub fn lock(&self, kind: ObjectKind, key: &str) -> Result<ObjectLock, StateError> {
        Ok(self.locks()?.acquire(kind, key, Wait::Block)?.expect("waiting was asked for"))
    }

    /// Takes the lock of an object; `None` when somebody has it.
    ///
    /// # Errors
    /// As [`State::lock`].
    pub fn try_lock(&self, kind: ObjectKind, key: &str) -> Result<Option<ObjectLock>, StateError> {
        self.locks()?.acquire(kind, key, Wait::No)
    }

    /// Forgets the lock of an object that has gone: the file that somebody left who was killed. Whoever holds it removes
    /// the file himself.
    ///
    /// # Errors
    /// Of the file system; [`StateError::OpenedReadOnly`].
    pub fn forget_lock(&self, kind: ObjectKind, key: &str) -> Result<(), StateError> {
        self.locks()?.forget(kind, key)
    }

    fn locks(&self) -> Result<&RunRoot, StateError> {
        match self.ledger.writable() {
            true => Ok(&self.run_root),
            false => Err(StateError::OpenedReadOnly { operation: "lock an object" }),
        }
    }

    /// Begins an operation: records who does what, and makes its work directory.
    ///
    /// # Errors
    /// Of the ledger and of making the directory; [`StateError::OpenedReadOnly`].
    pub fn begin(&self, kind: &'static str, now: Timestamp) -> Result<Operation<'_>, StateError> {
        Ok(Operation::begin(self, kind, now, |_, _| Ok::<_, StateError>(()))?.0)
    }

    /// Begins an operation and runs `f` in the same transaction: both happened or neither.
    ///
    /// # Errors
    /// As [`State::begin`]; those of `f`.
    pub fn begin_with<T, E: From<StateError>>(
        &self,
        kind: &'static str,
        now: Timestamp,
        f: impl FnOnce(&Write<'_>, OperationId) -> Result<T, E>,
    ) -> Result<(Operation<'_>, T), E> {
        Operation::begin(self, kind, now, f)
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    pub(crate) fn locks_directory(&self) -> &RunRoot {
        &self.run_root
    }

    /// The directories of the store; there are none when it does not exist.
    pub(crate) fn layout(&self) -> Result<&Layout, StateError> {
        self.layout.as_ref().ok_or_else(|| StateError::NoStore { path: self.root.clone() })
    }

    /// Who this process is.
    ///
    /// # Errors
    /// Of reading `/proc`.
    pub fn identity(&self) -> Result<&ProcessIdentity, StateError> {
        if let Some(identity) = self.identity.get() {
            return Ok(identity);
        }
        let identity = ProcessIdentity::current().map_err(|e| StateError::io("read", "/proc/self", e))?;
        Ok(self.identity.get_or_init(|| identity))
    }

    /// Whether the owner of an operation still runs. One's own process does, whichever thread asks.
    pub(crate) fn is_alive(&self, operation: &OperationRow) -> Result<bool, StateError> {
        is_alive(&operation.owner).map_err(|e| StateError::io("look at the processes in", "/proc", e))
    }
}
