//! `attach`: to the streams of a container that runs.

use super::adopt;
use super::events;
use super::process;
use super::resolve::find_settled;
use super::stored::{Stored, status};
use crate::{Engine, EngineError};
use dhow_runtime::status::Status;
use dhow_state::{ContainerRow, Durability};
use dhow_supervisor::client::{ClientError, Connection, Streams};
use std::time::{Duration, Instant};

/// Connects to a running container.
///
/// # Errors
/// When it does not run.
pub fn attach(engine: &Engine, container: &str, streams: Streams) -> Result<Connection, EngineError> {
    let row = find_settled(engine, container)?;
    let stored = Stored::of(&row)?;
    let (message, hint) = match status(&row) {
        Status::Running => {
            let connection = connect(engine, &row, streams)?;
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

/// Connects again to a container after its supervisor was lost, once it has another; none when it does not run any more.
///
/// # Errors
/// When there is no such container any more.
pub fn reattach(engine: &Engine, container: &str, streams: Streams) -> Result<Option<Connection>, EngineError> {
    let row = find_settled(engine, container)?;
    if !matches!(status(&row), Status::Running | Status::Paused) {
        return Ok(None);
    }
    match connect(engine, &row, streams) {
        Ok(connection) => Ok(Some(connection)),
        // It ends, or it cannot be watched: then it is waited for.
        Err(EngineError::Client(ClientError::NotRunning)) => Ok(None),
        Err(e) => Err(e),
    }
}

/// How long a supervisor may take that somebody else has just started for a container that nobody watched.
const PATIENCE: Duration = Duration::from_secs(10);

fn connect(engine: &Engine, row: &ContainerRow, streams: Streams) -> Result<Connection, EngineError> {
    let run_dir = engine.state.container_run_dir(&row.id);
    let deadline = Instant::now() + PATIENCE;
    loop {
        match Connection::open(&run_dir, streams) {
            // It was killed while we came, or it has the lock already and does not listen yet, which nothing tells.
            Err(ClientError::NotRunning)
                if Instant::now() < deadline
                    && row.state.process.as_ref().map(process::alive).transpose()? == Some(true) =>
            {
                adopt::unless_watched(engine, row)?;
                std::thread::sleep(Duration::from_millis(5));
            }
            other => return Ok(other?),
        }
    }
}
