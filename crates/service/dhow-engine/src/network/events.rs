//! Events about networks, with docker's actions and attributes.

use super::config::NetworkConfig;
use crate::EngineError;
use dhow_state::{NetworkRow, NewEvent, Timestamp, Write};
use std::collections::BTreeMap;

/// Records what happened to a network (`create`, `connect`, `disconnect`, `destroy`), in the transaction of the change.
pub(crate) fn record(
    w: &Write<'_>,
    now: Timestamp,
    row: &NetworkRow,
    action: &'static str,
    more: &[(&str, String)],
) -> Result<(), EngineError> {
    let driver = NetworkConfig::of(row).map(|config| config.driver.name()).unwrap_or_default();
    let mut attributes =
        BTreeMap::from([("name".to_owned(), row.name.clone()), ("type".to_owned(), driver.to_owned())]);
    attributes.extend(more.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
    let event = NewEvent { time: now, kind: "network", action: action.into(), actor: row.id.clone(), attributes };
    w.record_event(&event)?;
    Ok(())
}
