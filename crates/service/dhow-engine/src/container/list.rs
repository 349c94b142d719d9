//! `ps`: all containers.

use super::networks;
use super::settle;
use super::stored::view;
use super::view::Container;
use crate::{Engine, EngineError};

/// All containers, newest first. Their status is verified, and nothing is written.
///
/// # Errors
/// Of the ledger.
pub fn list(engine: &Engine) -> Result<Vec<Container>, EngineError> {
    let rows = engine.state.read(|r| r.containers())?;
    let rows = settle::judge_all(engine, rows)?;
    let mut containers = rows.iter().map(|row| view(engine, row)).collect::<Result<Vec<_>, EngineError>>()?;
    networks::show(engine, &mut containers)?;
    Ok(containers)
}
