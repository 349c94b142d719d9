//! `pause`: no process of a container runs until it is let go on.

use super::events;
use super::resolve::{again, find_settled};
use super::stored::{Stored, moved, status};
use super::unpause::cgroup;
use crate::{Engine, EngineError};
use dhow_runtime::status::{Action, Status};
use dhow_state::{ContainerRow, Durability, ObjectKind};

/// Freezes it.
///
/// # Errors
/// When it does not run, or is frozen already.
pub fn pause(engine: &Engine, container: &str) -> Result<(), EngineError> {
    let row = find_settled(engine, container)?;
    let _lock = engine.state.lock(ObjectKind::Container, &row.id)?;
    let row = again(engine, &row.id)?;
    let why = match status(&row) {
        Status::Running => None,
        Status::Paused => Some(format!("Container {} is already paused", row.id)),
        Status::Restarting => Some(restarting(&row.id)),
        _ => Some(format!("container {} is not running", row.id)),
    };
    if let Some(message) = why {
        return Err(EngineError::Conflict { message, hint: None });
    }
    let cgroup = cgroup(&row)?;
    // Written down first: who is killed in between leaves a container that can be unpaused, not one that hangs.
    change(engine, &row, Action::Pause, "pause")?;
    if let Err(e) = cgroup.freeze(true) {
        let row = again(engine, &row.id)?;
        if status(&row) == Status::Paused {
            let _ = cgroup.freeze(false);
            change(engine, &row, Action::Unpause, "unpause")?;
        }
        return Err(e.into());
    }
    Ok(())
}

/// Makes a move and tells of it.
pub(super) fn change(
    engine: &Engine,
    row: &ContainerRow,
    action: Action,
    event: &'static str,
) -> Result<(), EngineError> {
    let (stored, state) = (Stored::of(row)?, moved(row, action)?);
    engine.state.write(Durability::Crash, |w| {
        if !w.change_container(&row.id, row.generation, &state)? {
            return Err(ended(&row.id));
        }
        events::record(w, engine.now(), row, &stored, event, &[])
    })
}

/// The row changed under the lock: only an end does that.
pub(super) fn ended(id: &str) -> EngineError {
    EngineError::Conflict { message: format!("container {id} has ended meanwhile"), hint: None }
}

pub(super) fn restarting(container: &str) -> String {
    format!("Container {container} is restarting, wait until the container is running")
}
