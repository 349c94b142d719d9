//! `unpause`: the processes of a container go on.

use super::pause::change;
use super::process;
use super::resolve::{again, find_settled};
use super::stored::status;
use crate::{Engine, EngineError};
use dhow_runtime::cgroup::{Cgroup, Hierarchies};
use dhow_runtime::status::{Action, Status};
use dhow_state::{ContainerRow, ObjectKind};
use std::path::Path;

/// Lets it go on.
///
/// # Errors
/// When it is not frozen.
pub fn unpause(engine: &Engine, container: &str) -> Result<(), EngineError> {
    let row = find_settled(engine, container)?;
    let _lock = engine.state.lock(ObjectKind::Container, &row.id)?;
    let row = again(engine, &row.id)?;
    if status(&row) != Status::Paused {
        return Err(EngineError::Conflict { message: format!("Container {} is not paused", row.id), hint: None });
    }
    // First the deed: who is killed in between leaves a container that can be unpaused again.
    thaw(&row)?;
    change(engine, &row, Action::Unpause, "unpause")
}

/// Lets the processes go on, whatever the row says.
pub(super) fn thaw(row: &ContainerRow) -> Result<(), EngineError> {
    Ok(cgroup(row)?.freeze(false)?)
}

/// The same of one that was sent a signal, of which it may have ended by now, and its group be gone.
pub(super) fn thaw_to_end(row: &ContainerRow) -> Result<(), EngineError> {
    let Err(error) = thaw(row) else { return Ok(()) };
    match row.state.process.as_ref().map(process::alive).transpose()? {
        Some(true) => Err(error),
        Some(false) | None => Ok(()),
    }
}

/// The control group of a container that runs.
pub(super) fn cgroup(row: &ContainerRow) -> Result<Cgroup, EngineError> {
    Ok(Cgroup::open(&Hierarchies::detect()?, Path::new(&row.cgroup))?)
}
