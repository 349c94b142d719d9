//! Who starts a container again that waits for its restart: the last command of its supervisor, `internal exited`, which
//! sleeps the delay out. If that is killed, whoever next looks at the container, and may change it, sends another such
//! process: `internal again`. The same if that one is killed in the middle of the start. So are those sent who record an end
//! that nobody has recorded (`internal exited`), and who have the kernel forget networks (`internal release`).

use super::NETWORKS;
use super::exited::{End, record};
use super::process;
use super::sealed;
use super::stored::status;
use crate::{Engine, EngineError};
use dhow_runtime::status::Status;
use dhow_state::{ContainerRow, ContainerState, Durability};
use dhow_sys::process::ProcessIdentity;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Whether it waits to be started again, or was about to be, and nobody is left to do that.
fn is_left(row: &ContainerRow) -> Result<bool, EngineError> {
    // Who starts one by hand begins to count anew.
    let by_policy = status(row) == Status::Starting && row.state.restart_count > 0 && !row.state.stopped;
    match &row.state.process {
        Some(process) if by_policy || status(row) == Status::Restarting => Ok(!process::alive(process)?),
        _ => Ok(false),
    }
}

/// Sends somebody to start a container again if nobody is left to do that, unless the store may only be read: the row as
/// it is then; none when it has gone.
pub(super) fn send(engine: &Engine, mut row: ContainerRow) -> Result<Option<ContainerRow>, EngineError> {
    while !engine.read_only() && is_left(&row)? {
        // What waits at the gate ends there.
        super::start::is_broken_off(engine, &row)?;
        match start(engine, "again", &[&row.id]) {
            Ok(process) => drop(assign(engine, &row, process)?),
            Err(e) => drop(record(engine, &row, &End::of_row(&row, &e), false)?),
        }
        match engine.state.read(|r| r.container(&row.id))? {
            Some(changed) => row = changed,
            None => return Ok(None),
        }
    }
    Ok(Some(row))
}

/// Has another process start a container again of which this one has just recorded the end, so that it need not stay.
pub(super) fn hand_over(engine: &Engine, id: &str) -> Result<(), EngineError> {
    let me = engine.state.identity()?;
    let Some(row) = engine.state.read(|r| r.container(id))? else { return Ok(()) };
    if status(&row) == Status::Restarting && row.state.process.as_ref() == Some(me) {
        let process = start(engine, "again", &[id])?;
        // Who was faster has begun something else with it.
        assign(engine, &row, process)?;
    }
    Ok(())
}

/// Sends a process that records the end of a container, lets go of its networks, and starts it again: what its supervisor
/// would have run.
pub(super) fn send_to_record(engine: &Engine, id: &str) -> Result<(), EngineError> {
    start(engine, "exited", &[id, NETWORKS]).map(drop)
}

/// Sends a process that has the kernel forget the networks of containers that have ended.
pub(crate) fn send_to_release(engine: &Engine) -> Result<(), EngineError> {
    start(engine, "release", &["all"]).map(drop)
}

/// Starts the process of that name. It outlives this one, and ends at once if somebody else was faster.
fn start(engine: &Engine, word: &str, rest: &[&str]) -> Result<ProcessIdentity, EngineError> {
    let program = sealed::program();
    let mut command = Command::new(&program);
    command.arg("--root").arg(engine.state.root()).arg("--runroot").arg(engine.state.run_root());
    command.args(["internal", word]).args(rest);
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    let failed = |e| EngineError::io("execute", program.display(), e);
    // Not reaped, so nobody else has its pid as long as this process lives.
    let child = command.spawn().map_err(failed)?;
    ProcessIdentity::of(child.id()).map_err(failed)
}

/// Writes down who starts it again.
fn assign(engine: &Engine, row: &ContainerRow, process: ProcessIdentity) -> Result<bool, EngineError> {
    let status = Status::Restarting.name().to_owned();
    let state = ContainerState { status, process: Some(process), ..row.state.clone() };
    Ok(engine.state.write(Durability::Crash, |w| w.change_container(&row.id, row.generation, &state))?)
}

/// What `internal again` begins with: how long to wait before [`super::start_again()`]; none when it is not for this
/// process to do that.
///
/// # Errors
/// Of the ledger.
pub fn again(engine: &Engine, container: &str) -> Result<Option<Duration>, EngineError> {
    let me = engine.state.identity()?;
    while let Some(row) = engine.state.read(|r| r.container(container))? {
        if status(&row) != Status::Restarting {
            break;
        }
        let mine = row.state.process.as_ref() == Some(me);
        if !mine && !is_left(&row)? {
            break;
        }
        // Who sent this process may have been killed before writing it down.
        if mine || assign(engine, &row, me.clone())? {
            let since = engine.now().saturating_sub(row.state.finished.unwrap_or_default());
            let since = Duration::from_nanos(u64::try_from(since).unwrap_or(0));
            return Ok(Some(Duration::from_nanos(row.state.backoff).saturating_sub(since)));
        }
    }
    Ok(None)
}
