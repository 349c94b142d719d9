//! `logs`: what a container has written, and what it writes.

use super::resolve::find;
use super::settle;
use super::stored::{status, view};
use crate::{Engine, EngineError};
use dhow_supervisor::log::{self, Entry, Query};

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
    let row = engine.state.read(|r| find(r, container))?;
    let Some(path) = view(engine, &row)?.log_path else {
        return Err(EngineError::Invalid {
            problem: "configured logging driver does not support reading".to_owned(),
            hint: None,
        });
    };
    let mut ended = || match engine.state.read(|r| r.container(&row.id)) {
        Ok(Some(row)) => !settle::judge(engine, row).is_ok_and(|row| status(&row).is_live()),
        _ => true,
    };
    match log::read(&path, query, &mut ended, each) {
        // Never started.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && !path.exists() => Ok(()),
        other => other.map_err(|e| EngineError::io("read the log", path.display(), e)),
    }
}
