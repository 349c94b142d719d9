//! `rename`: another name for a container.

use super::events;
use super::names;
use super::request::Namespace;
use super::resolve::find;
use super::stored::Stored;
use crate::network::names as answers;
use crate::{Engine, EngineError};
use dhow_state::Durability;

/// Gives a container another name.
///
/// # Errors
/// A name that is taken, or that is none.
pub fn rename(engine: &Engine, container: &str, name: &str) -> Result<(), EngineError> {
    let name = name.strip_prefix('/').unwrap_or(name);
    names::check(name)?;
    let named = engine.state.write(Durability::Crash, |w| {
        let mut row = find(w, container)?;
        if row.name == name {
            return Err(EngineError::Invalid {
                problem: "Renaming a container with the same name as its current name".to_owned(),
                hint: None,
            });
        }
        // Of this generation as long as the transaction lasts.
        w.rename_container(&row.id, row.generation, name).map_err(names::explain)?;
        let old = std::mem::replace(&mut row.name, name.to_owned());
        let stored = Stored::of(&row)?;
        let named = match stored.host.network {
            Namespace::Networks => answers::renamed(w, &row, stored.config.hostname.as_deref().unwrap_or_default())?,
            _ => Vec::new(),
        };
        events::record(w, engine.now(), &row, &stored, "rename", &[("oldName", format!("/{old}"))])?;
        Ok(named)
    })?;
    answers::publish(engine, &named)
}
