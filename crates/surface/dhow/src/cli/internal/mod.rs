//! What dhow calls itself for: no command for people, and in no help.

mod again;
mod exited;
mod hold;
mod init;
mod release;
mod reload;
mod stop;

use super::{Ended, Failure, Globals};
use std::ffi::OsString;

/// `internal WORD`: the words from `internal` on.
pub(super) fn run(globals: &Globals, words: &[OsString]) -> Ended {
    let rest = words.get(2..).unwrap_or_default();
    match words.get(1).and_then(|w| w.to_str()) {
        Some("supervise") => Ok(dhow_supervisor::supervise::supervise()),
        Some("resolve") => Ok(dhow_network::resolver::serve()),
        Some("keep") => Ok(dhow_supervisor::keeper::keep()),
        Some("again") => again::run(globals, rest),
        // A command that goes on alone: it is called as it was typed.
        Some("background") => {
            let (globals, words) = super::global::parse(rest.to_vec())?;
            super::dispatch(&globals.in_background(), words)
        }
        Some("hold") => hold::run(globals, rest),
        Some("exited") => exited::run(globals, rest),
        Some("reload") => reload::run(globals),
        Some("release") => release::run(globals),
        Some("stop") => stop::run(globals, rest),
        _ => Err(Failure::plain("dhow: internal is what dhow calls itself with")),
    }
}

/// `init -- PROGRAM [ARGUMENT..]`: the words from `init` on.
pub(super) fn init(words: &[OsString]) -> Ended {
    let program = words.get(1..).unwrap_or_default();
    init::run(program.strip_prefix(&[OsString::from("--")]).unwrap_or(program))
}
