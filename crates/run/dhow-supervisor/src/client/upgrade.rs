//! Having a supervisor go on as another program.

use super::{ClientError, failed};
use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;

/// What became of an upgrade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upgraded {
    /// The new program runs.
    Done,
    /// It ran already.
    Same,
    /// What runs is of a version that cannot be upgraded.
    TooOld,
    /// Nobody is there.
    NotRunning,
}

/// Asks the supervisor of this run directory to go on as `program`: the file, open on a read-only mount of its own.
///
/// # Errors
/// Of the conversation; why the program could not be executed, the old one goes on then.
pub fn upgrade(_run_dir: &Path, _program: BorrowedFd<'_>) -> Result<Upgraded, ClientError> {
    Err(failed("upgrade")(io::ErrorKind::Unsupported.into()))
}
