//! `internal again ID`: what is sent to start a container again when `internal exited` was killed while it waited.

use crate::cli::{Ended, Failure, Globals, global};
use dhow_engine::container;
use std::ffi::OsString;

pub(super) fn run(globals: &Globals, rest: &[OsString]) -> Ended {
    let [id] = rest else { return Err(Failure::plain("dhow: internal again takes one id")) };
    let id = global::text(id);
    let Some(delay) = container::again(&globals.engine_plain()?, &id)? else { return Ok(0) };
    std::thread::sleep(delay);
    container::start_again(&globals.engine_plain()?, &id)?;
    Ok(0)
}
