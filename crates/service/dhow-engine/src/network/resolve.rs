//! What a person typed, as a network: an id, a name, or the start of an id, in this order as with docker.

use super::predefined;
use crate::{Engine, EngineError};
use dhow_state::{NetworkRow, Read, Write};

/// Finds the row of a network. One that is predefined may not be recorded yet, and then has no subnet.
///
/// # Errors
/// [`EngineError::NoSuchNetwork`]; a conflict when several ids begin like that.
pub(crate) fn find(engine: &Engine, read: &Read<'_>, text: &str) -> Result<NetworkRow, EngineError> {
    if let Some(row) = read.network(text)? {
        return Ok(row);
    }
    if let Some(row) = read.network_by_name(text)? {
        return Ok(row);
    }
    if let Some(row) = predefined::look(engine, read, text)? {
        return Ok(row);
    }
    let mut found = read.networks_by_prefix(text)?;
    for name in predefined::NAMES {
        let unmade = predefined::look(engine, read, name)?.filter(|row| row.id.starts_with(text) && !text.is_empty());
        found.extend(unmade.filter(|row| found.iter().all(|other| other.id != row.id)));
    }
    match (found.pop(), found.len()) {
        (Some(row), 0) => Ok(row),
        (Some(_), others) => Err(EngineError::Conflict {
            message: format!("network {text} is ambiguous ({} matches found based on ID prefix)", others + 1),
            hint: Some("give more characters of the id".to_owned()),
        }),
        (None, _) => Err(EngineError::NoSuchNetwork(text.to_owned())),
    }
}

/// As [`find`], for somebody who is about to put a container on it: one that is predefined is recorded now. `default` is
/// another word for `bridge`.
///
/// # Errors
/// As [`find`]; of choosing a subnet.
pub(crate) fn find_or_make(engine: &Engine, w: &Write<'_>, text: &str) -> Result<NetworkRow, EngineError> {
    let text = if text == "default" { "bridge" } else { text };
    let row = find(engine, w, text)?;
    match predefined::is(&row.name) {
        true => predefined::make(engine, w, &row.name),
        false => Ok(row),
    }
}
