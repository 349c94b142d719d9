//! Having a container served again whose resolver was killed when nobody followed it: everything of ours was killed at once,
//! and the containers went on.

use super::resolver::Directory;
use super::{Asker, named, rejoin};
use crate::{Engine, EngineError};
use dhow_network::netns::Netns;
use std::os::fd::BorrowedFd;

/// Sees to it that a running container is served; whether it was not. Its resolver is asked, which is a matter of 50 us.
///
/// # Errors
/// As [`rejoin`].
pub fn mend(engine: &Engine, asker: &Asker, process: BorrowedFd<'_>) -> Result<bool, EngineError> {
    let networks = named(&asker.members);
    let Some(home) = networks.first() else { return Ok(false) };
    if serves(engine, home, &asker.id)? {
        return Ok(false);
    }
    let netns = Netns::of_process(process)?;
    rejoin(engine, asker, &[], &netns, process)?;
    Ok(true)
}

/// Whether a network's resolver serves this container.
fn serves(engine: &Engine, network: &str, id: &str) -> Result<bool, EngineError> {
    let Some(directory) = Directory::open(engine.state.run_dir())? else { return Ok(false) };
    let Some(control) = directory.connect(network)? else { return Ok(false) };
    // One that is on its way to its end serves nobody.
    Ok(control.status().is_ok_and(|status| status.clients.iter().any(|client| client == id)))
}
