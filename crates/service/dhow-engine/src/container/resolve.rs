//! What a person typed, as a container: an id, a name, or the start of an id, in this order as with docker.

use super::settle;
use crate::{Engine, EngineError};
use dhow_state::{ContainerRow, Read};

/// Finds the row of a container.
///
/// # Errors
/// [`EngineError::NoSuchContainer`]; a conflict when several ids begin like that.
pub(super) fn find(read: &Read<'_>, text: &str) -> Result<ContainerRow, EngineError> {
    if let Some(row) = read.container(text)? {
        return Ok(row);
    }
    let name = text.strip_prefix('/').unwrap_or(text);
    if let Some(row) = read.container_by_name(name)? {
        return Ok(row);
    }
    let mut found = read.containers_by_prefix(text)?;
    match (found.pop(), found.is_empty()) {
        (Some(row), true) => Ok(row),
        (Some(_), false) => Err(EngineError::Conflict {
            message: format!("multiple IDs found with provided prefix: {text}"),
            hint: Some("give more characters of the id".to_owned()),
        }),
        (None, _) => Err(EngineError::NoSuchContainer(text.to_owned())),
    }
}

/// Finds a container whose status has been verified.
pub(super) fn find_settled(engine: &Engine, text: &str) -> Result<ContainerRow, EngineError> {
    let row = engine.state.read(|r| find(r, text))?;
    settle::settle(engine, row)?.ok_or_else(|| EngineError::NoSuchContainer(text.to_owned()))
}

/// Looks again at a container that was found before.
pub(super) fn again(engine: &Engine, id: &str) -> Result<ContainerRow, EngineError> {
    let row = engine.state.read(|r| r.container(id))?;
    let row = row.ok_or_else(|| EngineError::NoSuchContainer(id.to_owned()))?;
    settle::settle(engine, row)?.ok_or_else(|| EngineError::NoSuchContainer(id.to_owned()))
}
