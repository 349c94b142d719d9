//! `internal exited ID [networks]`: what a supervisor runs at its end.

use crate::cli::{Ended, Failure, Globals, global};
use dhow_engine::container::{self, NETWORKS};
use dhow_engine::network;
use std::ffi::OsString;

/// Records how the container ended, unless somebody has; lets go of its networks, if told to; waits and starts it
/// again where its policy says so.
pub(super) fn run(globals: &Globals, rest: &[OsString]) -> Ended {
    let (id, networks) = match rest {
        [id] => (id, false),
        [id, word] if word == NETWORKS => (id, true),
        _ => return Err(Failure::plain("dhow: internal exited takes one id, and networks behind it")),
    };
    let id = global::text(id);
    // Closed while it waits, which may be for a minute: nothing is held meanwhile.
    let delay = {
        let engine = globals.engine_plain()?;
        let delay = container::exited(&engine, &id)?;
        if networks {
            // What is left is done by the next one.
            let _ = network::release(&engine);
        }
        delay
    };
    let Some(delay) = delay else { return Ok(0) };
    std::thread::sleep(delay);
    container::start_again(&globals.engine_plain()?, &id)?;
    Ok(0)
}
