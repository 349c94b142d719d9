//! `network ls`: all networks, those among them that nobody has made.

use super::predefined;
use super::view::NetworkView;
use crate::{Engine, EngineError};

/// All networks, the oldest first, and the predefined ones before them that have not been used yet.
///
/// # Errors
/// Of the ledger.
pub fn list(engine: &Engine) -> Result<Vec<NetworkView>, EngineError> {
    engine.state.read(|read| {
        let made = read.networks()?;
        let mut rows = Vec::new();
        for name in predefined::NAMES {
            if made.iter().all(|row| row.name != name) {
                rows.extend(predefined::look(engine, read, name)?);
            }
        }
        rows.extend(made);
        rows.into_iter().map(|row| NetworkView::of(read, row)).collect()
    })
}
