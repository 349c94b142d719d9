//! `attach`: to the streams of a container that runs.

use super::events;
use super::resolve::find_settled;
use super::stored::{Stored, status};
use crate::{Engine, EngineError};
use dhow_runtime::status::Status;
use dhow_state::Durability;
use dhow_supervisor::client::{Connection, Streams};

/// Connects to a running container.
///
/// # Errors
/// When it does not run.
pub fn attach(engine: &Engine, container: &str, streams: Streams) -> Result<Connection, EngineError> {
    let row = find_settled(engine, container)?;
    let stored = Stored::of(&row)?;
    let (message, hint) = match status(&row) {
        Status::Running => {
            let connection = Connection::open(&engine.state.container_run_dir(&row.id), streams)?;
            let now = engine.now();
            engine.state.write(Durability::Crash, |w| events::record(w, now, &row, &stored, "attach", &[]))?;
            return Ok(connection);
        }
        Status::Paused => ("You cannot attach to a paused container, unpause it first", "unpause"),
        Status::Restarting | Status::Starting => {
            ("You cannot attach to a restarting container, wait until it is running", "wait")
        }
        _ => ("You cannot attach to a stopped container, start it first", "start"),
    };
    Err(EngineError::Conflict { message: message.to_owned(), hint: Some(format!("dhow {hint} {container}")) })
}
