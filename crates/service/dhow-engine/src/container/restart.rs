//! `restart`: stopped, if it runs, and started.

use super::events;
use super::resolve::{again, find_settled};
use super::start::{Why, start_locked};
use super::stop::stop_locked;
use super::stored::Stored;
use crate::{Engine, EngineError};
use dhow_state::{Durability, ObjectKind};
use dhow_supervisor::client::Streams;
use std::time::Duration;

/// Stops it if it runs, and starts it. A container that is to be removed at its end stays for that.
///
/// # Errors
/// As [`super::stop()`] and [`super::start()`].
pub fn restart(
    engine: &Engine,
    container: &str,
    grace: Option<Duration>,
    signal: Option<i32>,
) -> Result<(), EngineError> {
    let row = find_settled(engine, container)?;
    let _lock = engine.state.lock(ObjectKind::Container, &row.id)?;
    stop_locked(engine, &again(engine, &row.id)?, grace, signal, true)?;
    start_locked(engine, &again(engine, &row.id)?, Streams::default(), (0, 0), Why::Asked, None)?;
    let row = again(engine, &row.id)?;
    let stored = Stored::of(&row)?;
    engine.state.write(Durability::Crash, |w| events::record(w, engine.now(), &row, &stored, "restart", &[]))
}
