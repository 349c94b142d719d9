//! `inspect`: everything about one container.

use super::networks;
use super::resolve::find;
use super::settle;
use super::stored::view;
use super::view::Container;
use crate::{Engine, EngineError};

/// One container. Its status is verified, and nothing is written.
///
/// # Errors
/// When there is none, or several have ids that begin like that.
pub fn inspect(engine: &Engine, container: &str) -> Result<Container, EngineError> {
    let row = engine.state.read(|r| find(r, container))?;
    let id = row.id.clone();
    let row = settle::judge_all(engine, vec![row])?.pop().ok_or(EngineError::NoSuchContainer(id))?;
    let mut container = view(engine, &row)?;
    networks::show(engine, std::slice::from_mut(&mut container))?;
    Ok(container)
}
