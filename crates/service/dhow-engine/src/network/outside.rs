//! The links that a host had when dhow turned forwarding on: it did not route between them, and must not begin to because
//! of us (docker drops everything then that it does not know).
//!
//! A file for each family below the run root, written before forwarding is turned on, with the boot that it belongs to: the
//! boot id, then one name a line. Whoever wants the host to be a router removes it: `dhow network reload` then forgets it.

use crate::{Engine, EngineError};
use dhow_network::Family;
use std::io::ErrorKind;
use std::path::PathBuf;

fn path(engine: &Engine, family: Family) -> PathBuf {
    let name = if family == Family::V4 { "forwarding-ipv4" } else { "forwarding-ipv6" };
    engine.state.run_dir().join(name)
}

/// Remembers them.
///
/// # Errors
/// Of the file system.
pub(super) fn write(engine: &Engine, family: Family, links: &[String]) -> Result<(), EngineError> {
    let path = path(engine, family);
    let text = format!("{}\n{}\n", engine.state.identity()?.boot_id, links.join("\n"));
    std::fs::write(&path, text).map_err(|e| EngineError::io("write", path.display(), e))
}

/// What is remembered of this boot; nothing when somebody else had the host forward.
///
/// # Errors
/// Of the file system.
pub(super) fn read(engine: &Engine, family: Family) -> Result<Vec<String>, EngineError> {
    let path = path(engine, family);
    let text = match std::fs::read_to_string(&path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        text => text.map_err(|e| EngineError::io("read", path.display(), e))?,
    };
    let mut lines = text.lines();
    if lines.next() != Some(engine.state.identity()?.boot_id.as_str()) {
        return Ok(Vec::new());
    }
    let mut links: Vec<String> = lines.filter(|line| !line.is_empty()).map(str::to_owned).collect();
    links.sort();
    links.dedup();
    Ok(links)
}
