//! `internal release all`: what is sent to have the kernel forget the networks of containers that have ended.

use crate::cli::{Ended, Globals};
use dhow_engine::network;

pub(super) fn run(globals: &Globals) -> Ended {
    network::release(&globals.engine_plain()?)?;
    Ok(0)
}
