//! Which run root belongs to a store, and what the first opening of a boot does.
//!
//! Locks are files in the run root, so two processes that use one store with two run roots would not see each
//! other's. The ledger records the run root of the last opening for writing and the boot it happened in. In
//! another boot there is nobody left to meet, and any run root may take over.

use crate::error::StateError;
use crate::layout::random;
use crate::ledger::Ledger;
use crate::read::Read;
use crate::rows::{Durability, OperationId};
use crate::state::State;
use crate::sweep::Leave;
use dhow_sys::process::boot_id;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// What the ledger says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recorded {
    pub(crate) store_id: String,
    run_root: PathBuf,
    boot_id: String,
    /// Whether any operation has not ended.
    pub(crate) operations: bool,
}

/// Reads what the ledger says; `None` when it says nothing, being that of a store that does not exist.
pub(crate) fn recorded(ledger: &Ledger) -> Result<Option<Recorded>, StateError> {
    ledger.read(query)
}

fn query(r: &Read<'_>) -> Result<Option<Recorded>, StateError> {
    r.one("SELECT id, run_root, boot_id, EXISTS (SELECT 1 FROM operations) FROM store", [], |row| {
        Ok(Recorded {
            store_id: row.get(0)?,
            run_root: PathBuf::from(OsString::from_vec(row.get(1)?)),
            boot_id: row.get(2)?,
            operations: row.get(3)?,
        })
    })
}

impl State {
    /// Makes sure that the run root is the store's, and after a reboot drops what a power cut may have taken.
    pub(crate) fn pair(&self, recorded: &Recorded) -> Result<(), StateError> {
        let boot = boot_id().map_err(|e| StateError::io("read the boot id in", "/proc", e))?;
        if recorded.run_root == self.run_root() && recorded.boot_id == boot {
            return Ok(());
        }
        let recovery = OperationId(random()?);
        let owner = self.identity()?;
        let rebooted = self.write(Durability::PowerCut, |w| {
            // Again, now that nobody else can be at it.
            let recorded = query(w)?.ok_or_else(|| StateError::NoStore { path: self.root().to_path_buf() })?;
            let rebooted = recorded.boot_id != boot;
            if !rebooted && recorded.run_root != self.run_root() && recorded.run_root.join(self.store_id()).exists() {
                return Err(StateError::RunRoot {
                    root: self.root().to_path_buf(),
                    recorded: recorded.run_root,
                    asked: self.run_root().to_path_buf(),
                });
            }
            self.locks_directory().make_directories()?;
            w.set_pairing(self.run_root().as_os_str().as_bytes(), &boot)?;
            if rebooted {
                w.insert_operation(recovery, "recover", owner, 0)?;
                w.delete_unflushed(recovery, &boot)?;
            }
            Ok(rebooted)
        })?;
        if rebooted {
            // As all recovery, best effort: what is left is recorded.
            let _ = self.end(recovery, Leave::Published);
        }
        Ok(())
    }
}
