//! Who answers a container's questions for names, along its life: from its start, after everything of ours was killed, and
//! when its networks change. Which names there are, and who answers, is `crate::network::names`'s.

use super::files;
use super::process;
use super::request::{HostConfig, Namespace};
use super::resolve::again;
use super::stored::{Stored, status, view};
use crate::network::names::{self, Ready, Which};
use crate::{Engine, EngineError};
use dhow_runtime::status::Status;
use dhow_state::ContainerRow;
use dhow_supervisor::client::Waiting;
use dhow_sys::process::ProcessIdentity;
use std::collections::BTreeSet;
use std::os::fd::{AsFd as _, OwnedFd};

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
    match process_of(row)? {
        Some(process) => names::rejoin(engine, (&row.id, host), &[], process.as_fd(), Which::Unserved),
        None => Ok(()),
    }
}

/// The same of all that run, on one network or on any.
///
/// # Errors
/// The first one; the others are tried all the same.
pub(crate) fn mend_all(engine: &Engine, network: Option<&str>) -> Result<(), EngineError> {
    let rows = engine.state.read(|r| {
        let endpoints = network.map_or_else(|| r.endpoints(), |network| r.endpoints_of_network(network))?;
        let ids: BTreeSet<String> =
            endpoints.into_iter().filter(|row| row.state.is_some()).map(|row| row.container).collect();
        let rows = ids.iter().map(|id| Ok::<_, EngineError>(r.container(id)?));
        rows.collect::<Result<Vec<_>, _>>()
    })?;
    let mut first = Ok(());
    // Who is being started is answered by whoever starts it.
    for row in rows.iter().flatten().filter(|row| matches!(status(row), Status::Running | Status::Paused)) {
        first = first.and(Stored::of(row).and_then(|stored| mend(engine, row, &stored.host)));
    }
    first
}

/// To be called when the networks of a running container have changed, and the ledger and its links with them: its files
/// follow, and it is answered as it is on networks now. `before` are the ids of those that it was on.
pub(crate) fn change(engine: &Engine, id: &str, before: &[String]) -> Result<(), EngineError> {
    let row = again(engine, id)?;
    let members = engine.state.read(|r| names::members(r, id))?;
    files::refresh(&view(engine, &row)?, &members)?;
    match process_of(&row)? {
        Some(process) => names::rejoin(engine, (id, &Stored::of(&row)?.host), before, process.as_fd(), Which::All),
        None => names::publish(engine, before),
    }
}

fn process_of(row: &ContainerRow) -> Result<Option<OwnedFd>, EngineError> {
    Ok(row.state.process.as_ref().map(process::open).transpose()?.flatten())
}
