//! `rm`: a container, its files, and at the very end its name.
//!
//! ```text
//! removing, an operation | commit | directory set aside and deleted | row and name gone | commit
//! ```
//!
//! Two that remove the same container meet in the first transaction: the second hears that it is under way. A removal
//! that was begun is carried on by recovery when whoever began it dies.

use super::events;
use super::process;
use super::resolve::{again, find_settled};
use super::settle;
use super::stored::{Stored, moved, status};
use super::wait::{self, Until};
use crate::{Engine, EngineError};
use dhow_runtime::status::{Action, Status, next};
use dhow_state::{ContainerRow, ContainerState, Durability, ObjectKind, Operation, Write};
use std::os::fd::AsFd as _;

/// Removes it; with `force`, kills it first. Its id.
///
/// # Errors
/// When it runs, or is being removed by somebody else.
pub fn remove(engine: &Engine, container: &str, force: bool) -> Result<String, EngineError> {
    engine.in_reserve(|| removed(engine, container, force))
}

fn removed(engine: &Engine, container: &str, force: bool) -> Result<String, EngineError> {
    let mut row = find_settled(engine, container)?;
    let id = row.id.clone();
    let mut ended = false;
    loop {
        match status(&row) {
            // It removes itself, now that it has ended.
            Status::Removing if ended && Stored::of(&row)?.host.auto_remove => {
                return match wait::wait(engine, &id, Until::Removed) {
                    Ok(_) | Err(EngineError::NoSuchContainer(_)) => Ok(id),
                    Err(e) => Err(e),
                };
            }
            Status::Removing => {
                // By somebody who is dead? Then recovery ends it.
                if engine.state.recover()? == 0 {
                    return Err(EngineError::Conflict {
                        message: format!("removal of container {container} is already in progress"),
                        hint: None,
                    });
                }
                row = again(engine, &id)?;
                continue;
            }
            Status::Starting | Status::Running | Status::Paused | Status::Restarting if !force => {
                return Err(in_use(&row, container));
            }
            Status::Starting | Status::Running | Status::Paused | Status::Restarting => {
                let Some(changed) = end(engine, &row)? else { return Ok(id) };
                ended = true;
                row = changed;
                continue;
            }
            Status::Created | Status::Exited | Status::Dead => {}
        }
        // No process may be left that belongs to nothing.
        settle::sweep(&row.cgroup);
        // What cannot be read can be removed all the same.
        let stored = Stored::of(&row).unwrap_or_else(|_| Stored::unreadable());
        match begin_and(engine, &row, |_| Ok(()))? {
            Some(operation) => {
                finish(engine, operation, &row, &stored)?;
                // Best effort: empty groups are in nobody's way.
                let _ = settle::prune_after_last(engine);
                return Ok(id);
            }
            None => row = again(engine, &id)?,
        }
    }
}

/// What stands in the way of a removal without force, in docker's words.
fn in_use(row: &ContainerRow, typed: &str) -> EngineError {
    let (why, hint) = match status(row) {
        Status::Paused => ("container is paused and must be unpaused first", "dhow unpause"),
        Status::Restarting => {
            ("container is restarting: stop the container before removing or force remove", "dhow rm -f")
        }
        _ => ("container is running: stop the container before removing or force remove", "dhow rm -f"),
    };
    EngineError::Conflict {
        message: format!("cannot remove container \"{typed}\": {why}"),
        hint: Some(format!("{hint} {}", row.name)),
    }
}

/// Ends what runs, by SIGKILL, and waits until that is recorded; none when the container went with it.
fn end(engine: &Engine, row: &ContainerRow) -> Result<Option<ContainerRow>, EngineError> {
    if status(row) == Status::Starting {
        // Whoever starts it holds the lock until it runs or has failed. Only then is it known which, and only from a row
        // that was read then: whose starter has ended may have started it.
        let lock = engine.state.lock(ObjectKind::Container, &row.id)?;
        let Some(row) = engine.state.read(|r| r.container(&row.id))? else { return Ok(None) };
        super::start::is_broken_off(engine, &row)?;
        drop(lock);
        return wait::row(engine, &row.id);
    }
    if !super::stop::mark_stopped(engine, row, None)? {
        return wait::row(engine, &row.id);
    }
    if let Some(process) = &row.state.process
        && status(row) != Status::Restarting
        && let Some(pidfd) = process::open(process)?
    {
        process::kill(pidfd.as_fd())?;
        if status(row) == Status::Paused {
            super::unpause::thaw_to_end(row)?;
        }
    }
    wait::until_ended(engine, row)
}

/// Begins a removal from the state that `row` holds, which may be newer than the ledger's of that generation, and runs
/// `more` in the same transaction; none when the container has changed since.
pub(super) fn begin_and<'e>(
    engine: &'e Engine,
    row: &ContainerRow,
    more: impl FnOnce(&Write<'_>) -> Result<(), EngineError>,
) -> Result<Option<Operation<'e>>, EngineError> {
    let removing = ContainerState { process: None, ..moved(row, Action::Remove)? };
    let (operation, begun) = engine.state.begin_with("rm", engine.now(), |w, operation| {
        let begun = w.begin_removal(operation, &row.id, row.generation, &removing)?;
        if begun {
            more(w)?;
        }
        Ok::<_, EngineError>(begun)
    })?;
    // Dropped, the operation leaves nothing: it planned nothing.
    Ok(begun.then_some(operation))
}

/// Ends a removal that was begun.
pub(super) fn finish(
    engine: &Engine,
    operation: Operation<'_>,
    row: &ContainerRow,
    stored: &Stored,
) -> Result<(), EngineError> {
    let id = operation.id();
    if let Err(e) = operation.discard_container(&row.id) {
        let broken_off = next(Status::Removing, Action::BreakOff).unwrap_or(Status::Dead);
        let dead = ContainerState { status: broken_off.name().to_owned(), error: e.to_string(), ..row.state.clone() };
        operation.commit(Durability::Crash, |w| w.break_removal_off(id, &row.id, &dead))?;
        return Err(e.into());
    }
    operation.commit(Durability::Crash, |w| {
        if w.end_removal(id, &row.id)? {
            events::record(w, engine.now(), row, stored, "destroy", &[])?;
        }
        Ok::<_, EngineError>(())
    })?;
    // Best effort: it keeps nobody from anything.
    let _ = engine.state.forget_lock(ObjectKind::Container, &row.id);
    Ok(())
}
