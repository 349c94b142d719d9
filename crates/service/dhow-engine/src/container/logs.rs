//! `logs`: what a container has written, and what it writes.

use super::resolve::find;
use super::settle;
use super::stored::{status, view};
use crate::{Engine, EngineError};
use dhow_supervisor::log::{self, Entry, Query};
use std::os::fd::AsFd as _;

/// Reads or follows its log.
///
/// # Errors
/// When it has none; those of `each`.
pub fn logs(
    engine: &Engine,
    container: &str,
    query: &Query,
    each: &mut dyn FnMut(Entry<'_>) -> std::io::Result<bool>,
) -> Result<(), EngineError> {
    // Judged: what nobody watches does not log either.
    let row = settle::judge(engine, engine.state.read(|r| find(r, container))?)?;
    let Some(path) = view(engine, &row)?.log_path else {
        return Err(EngineError::Invalid {
            problem: "configured logging driver does not support reading".to_owned(),
            hint: None,
        });
    };
    // Whoever records the end writes to the journal, which wakes who follows.
    let mut watch = match query.follow {
        true => Some(engine.state.watch_events(engine.state.read(|r| r.newest_event())?)?),
        false => None,
    };
    let wake = watch.as_ref().map(|watch| watch.as_fd().try_clone_to_owned()).transpose();
    let wake = wake.map_err(|e| EngineError::io("duplicate", "the watch of the journal", e))?;
    let mut ended = || {
        // What it tells does not matter, but it must be taken.
        while watch.as_mut().is_some_and(|watch| watch.next().is_ok_and(|events| !events.is_empty())) {}
        match engine.state.read(|r| r.container(&row.id)) {
            Ok(Some(row)) => !settle::judge(engine, row).is_ok_and(|row| status(&row).is_live()),
            _ => true,
        }
    };
    match log::read_until(&path, query, wake.as_ref().map(|fd| fd.as_fd()), &mut ended, each) {
        // Never started.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && !path.exists() => Ok(()),
        other => other.map_err(|e| EngineError::io("read the log", path.display(), e)),
    }
}
