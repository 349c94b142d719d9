//! `kill`: a signal to the first process.

use super::process;
use super::resolve::find_settled;
use super::stop::{mark_stopped, tell_kill};
use super::stored::{Stored, status};
use super::{signal, unpause, wait};
use crate::{Engine, EngineError};
use dhow_runtime::status::Status;
use std::os::fd::AsFd as _;

/// Sends a signal to its first process. SIGKILL is waited for.
///
/// # Errors
/// When it does not run.
pub fn kill(engine: &Engine, container: &str, signal: i32) -> Result<(), EngineError> {
    engine.in_reserve(|| send(engine, container, signal))
}

fn send(engine: &Engine, container: &str, signal: i32) -> Result<(), EngineError> {
    let row = find_settled(engine, container)?;
    let stored = Stored::of(&row)?;
    let not_running = || EngineError::Conflict {
        message: format!("cannot kill container: {container}: container {} is not running", row.id),
        hint: None,
    };
    if status(&row) == Status::Restarting {
        return match mark_stopped(engine, &row, None)? {
            true => Ok(()),
            false => send(engine, container, signal),
        };
    }
    let process = match (status(&row), &row.state.process) {
        (Status::Running | Status::Paused, Some(process)) => process,
        _ => return Err(not_running()),
    };
    let pidfd = process::open(process)?.ok_or_else(not_running)?;
    // These two are meant to end it; what ends then was stopped by hand.
    let ends = signal == signal::KILL || signal == stored.stop_signal();
    match ends {
        true => {
            mark_stopped(engine, &row, Some(signal))?;
        }
        false => tell_kill(engine, &row, &stored, signal)?,
    }
    if !process::send(pidfd.as_fd(), signal)? {
        return Err(not_running());
    }
    if ends && status(&row) == Status::Paused {
        unpause::thaw_to_end(&row)?;
    }
    if signal == signal::KILL {
        wait::until_ended(engine, &row)?;
    }
    Ok(())
}
