//! `internal exited ID`: what a supervisor runs at its end.

use crate::cli::{Ended, Failure, Globals, global};
use dhow_engine::container;
use std::ffi::OsString;

/// Records how the container ended; waits and starts it again where its policy says so.
pub(super) fn run(globals: &Globals, rest: &[OsString]) -> Ended {
    let [id] = rest else { return Err(Failure::plain("dhow: internal exited takes one id")) };
    let id = global::text(id);
    // Closed while it waits, which may be for a minute: nothing is held meanwhile.
    let Some(delay) = container::exited(&globals.engine_plain()?, &id)? else { return Ok(0) };
    std::thread::sleep(delay);
    container::start_again(&globals.engine_plain()?, &id)?;
    Ok(0)
}
