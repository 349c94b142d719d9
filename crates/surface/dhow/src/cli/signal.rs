//! Ctrl-C: the first asks the command to stop and undo, the second ends it at once (the next command then undoes).

use super::Failure;
use dhow_engine::Cancel;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// A request to stop that the signals SIGINT, SIGTERM and SIGHUP set.
pub(super) fn cancel() -> Result<Cancel, Failure> {
    let flag = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        // The order matters: the shutdown looks at the flag before the next line's action sets it.
        signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, flag.clone())
            .and_then(|_| signal_hook::flag::register(signal, flag.clone()))
            .map_err(|e| Failure::error(format!("cannot handle signals: {e}")))?;
    }
    Ok(Cancel::from_flag(flag))
}
