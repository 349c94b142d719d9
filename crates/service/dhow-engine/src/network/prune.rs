//! `network prune`: networks that no container is on.

use super::config::NetworkConfig;
use super::predefined;
use super::remove::take_away;
use crate::{Engine, EngineError};
use dhow_state::{NetworkRow, Timestamp};

/// Which networks to prune. Every part that is there must fit.
#[derive(Debug, Clone, Default)]
pub struct NetworkFilter {
    /// Labels they have: key, and value if it matters.
    pub labels: Vec<(String, Option<String>)>,
    /// Labels they do not have (`label!=`).
    pub without_labels: Vec<(String, Option<String>)>,
    /// Made before this moment.
    pub until: Option<Timestamp>,
}

impl NetworkFilter {
    fn accepts(&self, row: &NetworkRow) -> Result<bool, EngineError> {
        let config = NetworkConfig::of(row)?;
        let labelled = |(key, value): &(String, Option<String>)| match (config.labels.get(key), value) {
            (Some(found), Some(wanted)) => found == wanted,
            (found, _) => found.is_some(),
        };
        Ok(self.labels.iter().all(labelled)
            && !self.without_labels.iter().any(labelled)
            && self.until.is_none_or(|until| row.created < until))
    }
}

/// Removes the networks that no container is on, running or not; their names.
///
/// # Errors
/// Of the ledger and the kernel. Those before it are gone.
pub fn prune(engine: &Engine, filter: &NetworkFilter) -> Result<Vec<String>, EngineError> {
    let mut removed = Vec::new();
    for row in engine.state.read(|read| read.networks())? {
        let used = !engine.state.read(|read| read.endpoints_of_network(&row.id))?.is_empty();
        if predefined::is(&row.name) || used || !filter.accepts(&row)? {
            continue;
        }
        match take_away(engine, &row) {
            Ok(()) => removed.push(row.name),
            // Somebody joined it, or removed it, since we looked.
            Err(EngineError::Conflict { .. } | EngineError::NoSuchNetwork(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(removed)
}
