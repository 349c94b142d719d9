//! The keeper: one process per run root that holds copies of what supervisors must not lose.

use crate::client::{ClientError, Upgraded};
use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;

/// The body of `dhow internal keep`. Returns the exit status of the process.
pub fn keep() -> u8 {
    1
}

/// Asks the keeper of this directory (`<run root>/<store id>`) to go on as `program`, as
/// [`client::upgrade`](crate::client::upgrade) does.
///
/// # Errors
/// As there.
pub fn upgrade(_dir: &Path, _program: BorrowedFd<'_>) -> Result<Upgraded, ClientError> {
    Err(ClientError::Io { operation: "upgrade", source: io::ErrorKind::Unsupported.into() })
}
