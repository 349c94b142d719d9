//! Events about containers, with docker's actions and attributes.

use super::stored::Stored;
use crate::EngineError;
use dhow_state::{ContainerRow, NewEvent, Timestamp, Write};
use std::borrow::Cow;

/// Records what happened to a container, in the transaction of the change itself.
pub(super) fn record(
    w: &Write<'_>,
    now: Timestamp,
    row: &ContainerRow,
    stored: &Stored,
    action: impl Into<Cow<'static, str>>,
    more: &[(&str, String)],
) -> Result<(), EngineError> {
    let mut attributes = stored.config.labels.clone();
    attributes.insert("image".to_owned(), stored.image());
    attributes.insert("name".to_owned(), row.name.clone());
    attributes.extend(more.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
    let event = NewEvent { time: now, kind: "container", action: action.into(), actor: row.id.clone(), attributes };
    w.record_event(&event)?;
    Ok(())
}
