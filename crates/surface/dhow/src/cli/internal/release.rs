//! `internal release all`: what is sent to have the kernel forget the networks of containers that have ended,
//! those among them of which nobody saw it.

use crate::cli::{Ended, Globals};
use dhow_engine::{container, network};

pub(super) fn run(globals: &Globals) -> Ended {
    let engine = globals.engine_plain()?;
    container::settle_unseen(&engine)?;
    network::release(&engine)?;
    Ok(0)
}
