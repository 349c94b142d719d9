//! Ending operations: by their owner, and by recovery when the owner is dead.
//!
//! A path goes in two steps. First its row is deleted and committed, while a plan still names it. Then, in another
//! transaction, whatever lies at a planned path without a row is moved into the work directory; it is deleted
//! from there at leisure. In between, somebody else may publish the same object anew: then the path has a row
//! again and stays. Every step can be repeated, by anybody, so two that recover at once do no harm.
//!
//! The directory of a container goes likewise. A container whose removal has begun is gone at the end of it, whoever
//! ends it: what is already set aside cannot come back.

use crate::error::StateError;
use crate::layout::{container, place};
use crate::rows::{Durability, OperationId, OperationRow, Planned};
use crate::state::State;

/// What an operation leaves of what it published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leave {
    /// It was committed: everything that has a row.
    Published,
    /// It failed: only what something else came to need.
    Nothing,
}

impl State {
    /// Removes what the operation must not leave, its work directory and its rows.
    pub(crate) fn end(&self, id: OperationId, leave: Leave) -> Result<(), StateError> {
        let layout = self.layout()?;
        if leave == Leave::Nothing {
            // First what needs no ledger: where the disk is full, this makes the room that the ledger needs below.
            layout.remove_work(id)?;
            self.write(Durability::Crash, |w| {
                for plan in w.plans_of(id)? {
                    if let Planned::Content(kind, digest) = plan {
                        w.delete_unneeded(id, kind, &digest)?;
                    }
                }
                w.release_leases(id)
            })?;
        }
        if !self.read(|r| r.plans_of(id))?.is_empty() {
            self.write(Durability::Crash, |w| {
                for plan in w.plans_of(id)? {
                    match plan {
                        Planned::Content(kind, digest) => {
                            if w.synced(kind, &digest)?.is_none() {
                                layout.set_aside(&place(kind, &digest), id)?;
                            }
                        }
                        Planned::Container(of) => {
                            w.delete_container(id, &of)?;
                            if w.container(&of)?.is_none() {
                                layout.set_aside(&container(&of), id)?;
                                self.locks_directory().remove_container(&of)?;
                            }
                        }
                    }
                }
                w.delete_plans(id)
            })?;
        }
        layout.remove_work(id)?;
        self.write(Durability::Crash, |w| w.delete_operation(id))
    }

    /// Ends the operations whose owner is dead, as opening for writing does; says how many those were.
    ///
    /// # Errors
    /// Of the ledger and of removing what they left: what is left is still recorded.
    pub fn recover(&self) -> Result<usize, StateError> {
        let dead = self.dead_operations()?;
        for operation in &dead {
            self.end(operation.id, Leave::Nothing)?;
        }
        if !dead.is_empty() {
            // The dead may have left the files of locks.
            self.locks_directory().stale(true)?;
        }
        Ok(dead.len())
    }

    /// The operations that nobody will end: their owner is dead, and they are still there after he was found so.
    pub(crate) fn dead_operations(&self) -> Result<Vec<OperationRow>, StateError> {
        let mut dead = Vec::new();
        for operation in self.read(|r| r.operations())? {
            if !self.is_alive(&operation)? {
                dead.push(operation);
            }
        }
        if !dead.is_empty() {
            // Between the two looks above an owner may have ended his operation, and then himself.
            let left = self.read(|r| r.operations())?;
            dead.retain(|operation| left.contains(operation));
        }
        Ok(dead)
    }
}
