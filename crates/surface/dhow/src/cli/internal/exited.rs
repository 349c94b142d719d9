//! `internal exited ID`: what a supervisor runs at its end.

use crate::cli::{Ended, Failure, Globals, global};
use dhow_engine::container;
use dhow_runtime::status::Status;
use dhow_supervisor::client::Streams;
use std::ffi::OsString;

/// Records how the container ended; waits and starts it again where its policy says so.
pub(super) fn run(globals: &Globals, rest: &[OsString]) -> Ended {
    let [id] = rest else { return Err(Failure::plain("dhow: internal exited takes one id")) };
    let id = global::text(id);
    // Closed while it waits, which may be for a minute: nothing is held meanwhile.
    let Some(delay) = container::exited(&globals.engine_plain()?, &id)? else { return Ok(0) };
    std::thread::sleep(delay);
    let engine = globals.engine_plain()?;
    // Stopped, removed or started by hand meanwhile, it is left alone.
    if container::inspect(&engine, &id)?.status == Status::Restarting {
        container::start(&engine, &id, Streams::default(), (0, 0))?;
    }
    Ok(0)
}
