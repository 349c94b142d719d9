//! `network inspect`.

use super::resolve::find;
use super::view::NetworkView;
use crate::{Engine, EngineError};

/// Everything about one network.
///
/// # Errors
/// [`EngineError::NoSuchNetwork`]; a conflict when several ids begin like that.
pub fn inspect(engine: &Engine, text: &str) -> Result<NetworkView, EngineError> {
    engine.state.read(|read| NetworkView::of(read, find(engine, read, text)?))
}
