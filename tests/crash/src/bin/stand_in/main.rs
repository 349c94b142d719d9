//! A small store of images with dhow's command line, to test the crash harness on: right by default, and wrong in one
//! chosen way when `DHOW_STAND_IN_FAULT` names it (fault.rs). It is no model of dhow, and shares no code with it.
//!
//! Everything is in one document, `ledger.json`, that is replaced as a whole; one lock keeps the commands apart.

mod archives;
mod fault;
mod ledger;
mod verbs;

use std::process::ExitCode;

/// Errors are words: nobody handles them.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match verbs::run(&words) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            verbs::complain(&*error);
            ExitCode::from(2)
        }
    }
}
