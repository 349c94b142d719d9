//! `internal reload`: what the keeper runs when somebody has taken our firewall table apart.

use crate::cli::{Ended, Globals};
use dhow_engine::network;

pub(super) fn run(globals: &Globals) -> Ended {
    network::reload(&globals.engine_plain()?)?;
    Ok(0)
}
