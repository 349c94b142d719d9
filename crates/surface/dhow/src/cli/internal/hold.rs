//! `internal hold ID EXEC`: what an `exec` leaves behind that was detached from: it holds the terminal, which is its standard
//! input, until the process has ended of which the pidfd is its standard output.

use crate::cli::{Ended, Failure, Globals, global};
use dhow_engine::container;
use std::ffi::OsString;
use std::os::fd::AsFd as _;

pub(super) fn run(globals: &Globals, rest: &[OsString]) -> Ended {
    let [id, exec] = rest else { return Err(Failure::plain("dhow: internal hold takes two ids")) };
    let taken = std::io::stdin().as_fd().try_clone_to_owned();
    let master = taken.map_err(|e| Failure::error(format!("cannot take the terminal: {e}")))?;
    let gone = container::hold(master, std::io::stdout().as_fd(), &global::text(id), &global::text(exec))?;
    container::exec_ended(&globals.engine_plain()?, &gone)?;
    Ok(0)
}
