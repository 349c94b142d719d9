//! Who answers a container's questions for names, along its life: from its start, after everything of ours was killed, and
//! when its networks change. Which names there are, and who answers, is `crate::network::names`'s.

use super::files;
use super::process;
use super::request::{HostConfig, Namespace};
use super::resolve::again;
use super::stored::{Stored, view};
use crate::network::names::{self, Asker, Ready};
use crate::{Engine, EngineError};
use dhow_network::netns::Netns;
use dhow_state::ContainerRow;
use dhow_supervisor::client::Waiting;
use dhow_sys::process::ProcessIdentity;
use std::os::fd::AsFd as _;

/// Has the names answered that a container asks for which waits at its gate; others find it by its own from here on.
pub(super) fn begin(engine: &Engine, waiting: &Waiting, ready: Ready) -> Result<(), EngineError> {
    let me = engine.state.identity()?;
    let process = ProcessIdentity { pid: waiting.pid, start_time: waiting.start_time, ..me.clone() };
    match process::open(&process)? {
        Some(process) => ready.join(engine, process.as_fd()),
        // It has ended there; who opens the gate hears of it.
        None => Ok(()),
    }
}

/// The same of one that runs, where it has nobody who answers it.
pub(super) fn mend(engine: &Engine, row: &ContainerRow, host: &HostConfig) -> Result<(), EngineError> {
    if host.network != Namespace::Networks {
        return Ok(());
    }
    let members = engine.state.read(|r| names::members(r, &row.id))?;
    if let Some(asker) = Asker::new(&row.id, host, &members)
        && let Some(process) = row.state.process.as_ref().map(process::open).transpose()?.flatten()
    {
        names::mend(engine, &asker, process.as_fd())?;
    }
    Ok(())
}

/// To be called when the networks of a running container have changed, and the ledger and its links with them: its files
/// follow, and it is answered as it is on networks now. `before` are the ids of those that it was on.
pub(crate) fn change(engine: &Engine, id: &str, before: &[String]) -> Result<(), EngineError> {
    let row = again(engine, id)?;
    let members = engine.state.read(|r| names::members(r, id))?;
    let host = Stored::of(&row)?.host;
    files::refresh(&view(engine, &row)?, &members)?;
    let Some(process) = row.state.process.as_ref().map(process::open).transpose()?.flatten() else {
        return names::publish(engine, before);
    };
    let asker = Asker { id: row.id, host, members };
    names::rejoin(engine, &asker, before, &Netns::of_process(process.as_fd())?, process.as_fd())
}
