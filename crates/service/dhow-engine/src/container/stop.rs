//! `stop`: a signal, time to obey it, SIGKILL.
//!
//! What happens when the client goes away meanwhile: before it signals, it starts a small process of its own kind, in a
//! process group of its own, which waits as long for the container's end and then kills. Whatever becomes of the client,
//! the container ends in time; only when both are killed it is left with the signal alone. That it was stopped by hand
//! is written down before the signal, so that no restart policy starts it again in between.

use super::events;
use super::process;
use super::resolve::{again, find_settled};
use super::stored::{Stored, moved, status};
use super::wait;
use super::{signal, unpause};
use crate::{Engine, EngineError};
use dhow_runtime::status::{Action, Status};
use dhow_state::{ContainerRow, ContainerState, Durability, ObjectKind};
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Seconds, where nobody says otherwise.
const GRACE: i64 = 10;

/// As good as without an end.
const FOR_EVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Sends its stop signal, waits `grace` (none: what the container says, else 10 s; negative there: for ever), then
/// kills; returns once it has ended and that is recorded. Fine when it does not run.
///
/// # Errors
/// Of the kernel and the ledger; [`EngineError::Interrupted`]: the container ends in time all the same.
pub fn stop(engine: &Engine, container: &str, grace: Option<Duration>, signal: Option<i32>) -> Result<(), EngineError> {
    engine.in_reserve(|| stopped(engine, container, grace, signal))
}

fn stopped(engine: &Engine, container: &str, grace: Option<Duration>, signal: Option<i32>) -> Result<(), EngineError> {
    let row = find_settled(engine, container)?;
    if !matches!(status(&row), Status::Created | Status::Exited | Status::Dead | Status::Removing) {
        let lock = engine.state.lock(ObjectKind::Container, &row.id)?;
        stop_locked(engine, &again(engine, &row.id)?, grace, signal, false)?;
        drop(lock);
    }
    Ok(())
}

/// The same by who holds the lock. `keep`: it stays although it was to be removed at its end.
pub(super) fn stop_locked(
    engine: &Engine,
    row: &ContainerRow,
    grace: Option<Duration>,
    signal: Option<i32>,
    keep: bool,
) -> Result<(), EngineError> {
    let stored = Stored::of(row)?;
    let number = signal.unwrap_or_else(|| stored.stop_signal());
    let process = match (status(row), &row.state.process) {
        (Status::Running | Status::Paused, Some(process)) => process.clone(),
        (Status::Restarting, _) => {
            return match cancel_restart(engine, row)? {
                true => Ok(()),
                false => stop_locked(engine, &again(engine, &row.id)?, grace, signal, keep),
            };
        }
        _ => return Ok(()),
    };
    let Some(pidfd) = process::open(&process)? else { return wait::until_ended(engine, row).map(drop) };
    let grace =
        grace.or_else(|| u64::try_from(stored.config.stop_timeout.unwrap_or(GRACE)).ok().map(Duration::from_secs));
    if !mark(engine, row, &stored, Some(number), keep)? {
        // It ended, or somebody paused it: once more from the beginning.
        return stop_locked(engine, &again(engine, &row.id)?, grace, signal, keep);
    }
    let finite = grace.filter(|grace| !grace.is_zero() && *grace < FOR_EVER);
    let stand_in = finite.and_then(|grace| StandIn::start(engine, row, grace));
    process::send(pidfd.as_fd(), number)?;
    if status(row) == Status::Paused {
        unpause::thaw_to_end(row)?;
        engine.state.write(Durability::Crash, |w| events::record(w, engine.now(), row, &stored, "unpause", &[]))?;
    }
    if !process::ended(pidfd.as_fd(), grace, &engine.cancel)? {
        tell_kill(engine, row, &stored, signal::KILL)?;
        process::kill(pidfd.as_fd())?;
    }
    let ended = wait::until_ended(engine, row)?;
    if let Some(stand_in) = stand_in {
        stand_in.dismiss();
    }
    if let Some(row) = ended {
        engine.state.write(Durability::Crash, |w| events::record(w, engine.now(), &row, &stored, "stop", &[]))?;
    }
    Ok(())
}

/// The process that goes on when the client is interrupted.
struct StandIn(Child);

impl StandIn {
    /// None when it cannot be had: then it is as without.
    fn start(engine: &Engine, row: &ContainerRow, grace: Duration) -> Option<StandIn> {
        let mut command = Command::new(super::PROGRAM);
        command.arg("--root").arg(engine.state.root()).arg("--runroot").arg(engine.state.run_root());
        command.args(["internal", "stop", &row.id, &row.state.started.unwrap_or_default().to_string()]);
        command.arg(grace.as_millis().to_string());
        command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        command.spawn().ok().map(StandIn)
    }

    /// The container has ended.
    fn dismiss(mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the stand-in of a [`stop()`] does: gives the run that began at `started` so much time to end, then kills it.
///
/// # Errors
/// Of the kernel and the ledger.
pub fn finish_stop(engine: &Engine, container: &str, started: i64, grace: Duration) -> Result<(), EngineError> {
    let row = match engine.state.read(|r| super::resolve::find(r, container)) {
        Ok(row) if row.state.started == Some(started) => row,
        Ok(_) | Err(EngineError::NoSuchContainer(_)) => return Ok(()),
        Err(e) => return Err(e),
    };
    if let Some(process) = &row.state.process
        && let Some(pidfd) = process::open(process)?
        && !process::ended(pidfd.as_fd(), Some(grace), &engine.cancel)?
    {
        process::kill(pidfd.as_fd())?;
        if status(&again(engine, &row.id)?) == Status::Paused {
            unpause::thaw_to_end(&row)?;
        }
    }
    Ok(())
}

/// Writes down that it is stopped by hand; a signal that was sent is told as docker does. False when it has changed
/// since.
pub(super) fn mark_stopped(engine: &Engine, row: &ContainerRow, signal: Option<i32>) -> Result<bool, EngineError> {
    if status(row) == Status::Restarting {
        return cancel_restart(engine, row);
    }
    mark(engine, row, &Stored::of(row)?, signal.or(Some(signal::KILL)), false)
}

fn mark(
    engine: &Engine,
    row: &ContainerRow,
    stored: &Stored,
    signal: Option<i32>,
    keep: bool,
) -> Result<bool, EngineError> {
    let state = ContainerState { stopped: true, kept: keep, ..row.state.clone() };
    engine.state.write(Durability::Crash, |w| {
        let changed = w.change_container(&row.id, row.generation, &state)?;
        if let Some(signal) = signal.filter(|_| changed) {
            events::record(w, engine.now(), row, stored, "kill", &[("signal", signal.to_string())])?;
        }
        Ok(changed)
    })
}

pub(super) fn tell_kill(engine: &Engine, row: &ContainerRow, stored: &Stored, signal: i32) -> Result<(), EngineError> {
    let more = [("signal", signal.to_string())];
    engine.state.write(Durability::Crash, |w| events::record(w, engine.now(), row, stored, "kill", &more))
}

/// A container that waits to be started again waits no more; false when it has changed since.
fn cancel_restart(engine: &Engine, row: &ContainerRow) -> Result<bool, EngineError> {
    let state = ContainerState { stopped: true, process: None, ..moved(row, Action::Exit)? };
    Ok(engine.state.write(Durability::Crash, |w| w.change_container(&row.id, row.generation, &state))?)
}
