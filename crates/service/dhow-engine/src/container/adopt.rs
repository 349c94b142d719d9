//! Having a running container watched again by a supervisor when its own was killed, and the keeper with it.
//!
//! As long as one of the two lives it sees to the other, and the lock of the run directory stays taken. Found free beside
//! a process that lives, nobody is left: whoever looks at the container then makes a plan from its row and the spec of its
//! last start, and starts a supervisor with it. Of two who do so at once, one gets the lock.

use super::answers;
use super::process;
use super::request::Namespace;
use super::root;
use super::start::{self, SUPERVISE};
use super::stored::{Stored, status, view};
use crate::{Engine, EngineError, network};
use dhow_runtime::status::Status;
use dhow_state::ContainerRow;
use dhow_supervisor::client::{self, Adoption};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

/// Sees to it that a running container is watched. Best effort: one that cannot be goes on all the same, and the next who
/// looks tries again.
pub(super) fn unless_watched(engine: &Engine, row: &ContainerRow) -> Result<(), EngineError> {
    if !matches!(status(row), Status::Running | Status::Paused)
        || process::is_supervised(&engine.state.container_run_dir(&row.id))?
    {
        return Ok(());
    }
    let Some(adoption) = adoption(engine, row)? else { return Ok(()) };
    // Two who mount one upper directory corrupt each other: whoever else wants it has to find it taken.
    let dir = engine.state.container_dir(&row.id);
    let stored = Stored::of(row)?;
    let kept = match root::claim(stored.storage, &dir) {
        Ok(kept) => kept,
        Err(None) => return Ok(()),
        Err(Some(e)) => return Err(e),
    };
    let arguments = SUPERVISE.map(AsRef::as_ref);
    let ports = match stored.host.network {
        Namespace::Networks => network::hold_again(engine, &row.id)?,
        _ => None,
    };
    let kept: Vec<BorrowedFd<'_>> = kept.iter().chain(&ports).map(AsFd::as_fd).collect();
    let _ = client::adopt(Path::new(super::PROGRAM), &arguments, &adoption, &kept);
    // Who answers for names may have been killed along with the rest.
    answers::mend(engine, row, &stored.host)
}

/// What the ledger knows of it; none when it has ended, or when the spec of its start is gone.
fn adoption(engine: &Engine, row: &ContainerRow) -> Result<Option<Adoption>, EngineError> {
    let (Some(process), Some(started)) = (&row.state.process, row.state.started) else { return Ok(None) };
    if !process::alive(process)? {
        return Ok(None);
    }
    let container = view(engine, row)?;
    let spec =
        std::fs::read(super::config_path(&container.dir)).ok().and_then(|spec| serde_json::from_slice(&spec).ok());
    let Some(spec) = spec else { return Ok(None) };
    let plan = start::plan(engine, &container, spec, engine.state.container_run_dir(&row.id), (0, 0))?;
    Ok(Some(Adoption { plan, process: process.clone(), started }))
}
