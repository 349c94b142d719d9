//! `internal stop ID STARTED MILLISECONDS`: what `stop` leaves behind, so that the grace time outlives an interrupted
//! client.

use crate::cli::{Ended, Failure, Globals, global};
use dhow_engine::container;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::ffi::OsString;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// Kills the container that was started then, unless it ends within its grace time.
pub(super) fn run(globals: &Globals, rest: &[OsString]) -> Ended {
    let words: Vec<String> = rest.iter().map(|w| global::text(w)).collect();
    let usage = || Failure::plain("dhow: internal stop takes an id, a moment and milliseconds");
    let [id, started, grace] = words.as_slice() else { return Err(usage()) };
    let started = started.parse().map_err(|_| usage())?;
    let grace = grace.parse().map(Duration::from_millis).map_err(|_| usage())?;
    for signal in [SIGHUP, SIGINT, SIGTERM] {
        // Noted and not looked at: whoever interrupts the client does not mean this.
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))
            .map_err(|e| Failure::error(format!("cannot handle signals: {e}")))?;
    }
    container::finish_stop(&globals.engine_plain()?, id, started, grace)?;
    Ok(0)
}
